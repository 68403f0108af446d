"""All kinds of index against plain sorting, and approximate against exact search."""

import numpy as np
import pytest
import torch

from training.index.exact import ExactIndex, Index
from training.index.ivf import IVFIndex

KINDS = ("exact", "rounded", "approximate", "codes")


@pytest.fixture(autouse=True)
def _force_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the int8 prefilter only for the kind `rounded`, on any CPU, and codes only for `codes`, rescoring all."""
    kind = request.getfixturevalue("kind") if "kind" in request.fixturenames else ""
    monkeypatch.setattr("training.index.exact.MIN_GROUPS_FOR_PREFILTER", 1 if kind == "rounded" else 1_000_000)
    monkeypatch.setattr("training.index.exact.has_fast_int8_matmul", lambda: True)
    monkeypatch.setattr("training.index.exact.GROUPS_PER_CHUNK", 7)
    monkeypatch.setattr("training.index.exact.SCORES_PER_CHUNK", 1_000)
    if kind == "codes":
        monkeypatch.setattr("training.index.ivf.MIN_SCANNED_FOR_PQ", 0)
        monkeypatch.setattr("training.index.ivf.RERANK_FACTOR", 1_000)


def directions(count: int, seed: int) -> torch.Tensor:
    """Unit vectors that float16 represents exactly: four of 12 numbers are ±1/2. Some are equal."""
    random = np.random.default_rng(seed)
    vector_ND = np.zeros((count, 12), dtype=np.float32)
    for row in vector_ND:
        row[random.choice(12, 4, replace=False)] = random.choice([-0.5, 0.5], 4)
    return torch.from_numpy(vector_ND)


def integer_queries(rows: int, queries: int, seed: int) -> torch.Tensor:
    """Integer queries so large that scores rarely tie, and that all scores are exact."""
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(-200_000, 200_000, (rows, queries, 12)).astype(np.float32))


def build(kind: str, items: np.ndarray, vectors: torch.Tensor, probes: int = 1_000) -> Index:
    """An index; the approximate kinds probe all lists."""
    exact = ExactIndex.of(items, vectors)
    return IVFIndex.of(exact, probes, seed=0) if kind in ("approximate", "codes") else exact


def top_by_sorting(
    items: np.ndarray, vectors: torch.Tensor, query_QD: torch.Tensor, excluded: set[int], k: int
) -> list[int]:
    """Oracle: sort all items."""
    score = (vectors @ query_QD.T).amax(1).tolist()
    ordered = sorted((-value, item) for value, item in zip(score, items.tolist(), strict=True) if item not in excluded)
    return [item for _, item in ordered][:k] + [0] * max(k - len(ordered), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_results_equal_sorting(kind: str) -> None:
    items, vectors, queries = np.arange(100, 700), directions(600, 0), integer_queries(6, 3, 1)
    exclude = np.random.default_rng(2).integers(90, 710, (6, 400))
    exclude[0] = 0
    index = build(kind, items, vectors)
    found, scores = index.search_best(queries, 20, exclude)
    for row in range(6):
        assert found[row].tolist() == top_by_sorting(items, vectors, queries[row], set(exclude[row].tolist()), 20)
        expected = (vectors[found[row] - 100] @ queries[row].T).amax(1)
        assert scores[row].tolist() == expected.tolist()
    single = [index.search_best(queries[row, None], 20, exclude[row, None])[0][0] for row in range(6)]
    assert np.array_equal(found, np.stack(single))


@pytest.mark.parametrize("kind", KINDS)
def test_empty_results_are_padding(kind: str) -> None:
    items = np.arange(2, 52)
    index = build(kind, items, directions(50, 0))
    for queries in (2, 0):
        found, scores = index.search_best(integer_queries(1, queries, 0), 5, items[None])
        assert not found.any()
        assert np.isneginf(scores).all()


def test_more_lists_are_probed_if_too_few_items_are_left() -> None:
    items, vectors = np.arange(2, 502), directions(500, 0)
    index = build("approximate", items, vectors, probes=1)
    left = np.random.default_rng(0).choice(items, 9, replace=False)
    found, _ = index.search_best(integer_queries(1, 3, 0), 20, np.setdiff1d(items, left)[None])
    assert sorted(found[0, :9].tolist()) == sorted(left.tolist())
    assert not found[0, 9:].any()


def test_large_scans_read_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    items, vectors = (
        np.arange(2, 402),
        torch.nn.functional.normalize(directions(400, 0) + 0.3 * integer_queries(400, 1, 1)[:, 0] / 2e5),
    )
    exact = ExactIndex.of(items, vectors)
    monkeypatch.setattr("training.index.ivf.MIN_SCANNED_FOR_PQ", 100)
    few = IVFIndex.of(exact, 4, seed=0)  # of 20 lists, so 80 of 400 vectors
    many = few.with_probes(exact, 20, seed=0)
    assert (
        few.float16_GD is None and many.float16_GD is not None and many.with_probes(exact, 4, seed=0).float16_GD is None
    )
    found, scores = many.search_best(integer_queries(5, 2, 3), 10)
    again, _ = IVFIndex.of(exact, 20, seed=0).search_best(integer_queries(5, 2, 3), 10)
    assert np.array_equal(found, again)
    expected, expected_scores = exact.search_best(integer_queries(5, 2, 3), 10)
    assert np.mean([np.isin(*row).mean() for row in zip(expected, found, strict=True)]) > 0.97
    np.testing.assert_allclose(scores[:, 0], expected_scores[:, 0], rtol=1e-3)
