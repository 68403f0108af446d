"""Fusion of repeats and discoveries against plain Python, and tuning of its weights and shares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.recall.channel import pad_rows
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.fusion import (
    FULL_DENSITY_POSITION,
    ZERO_WEIGHT_EPSILON,
    ChannelWeights,
    Fusion,
    ReciprocalRank,
)
from recommender.slate.scene_settings import CANDIDATES_PER_CHANNEL
from tests.support.training.recall_cases import Case, ragged, recall_cases
from training.evaluation.fusion_tuning import DISCOVERY_SHARE_GRID, choose_share, fit_fusion


def _candidates(*rows: list[int]) -> np.ndarray:
    return pad_rows([np.array(row, dtype=np.int64) for row in rows], max(len(row) for row in rows))


def _slow_list(fusion: ReciprocalRank, lists: dict[str, list[int]]) -> list[int]:
    score: dict[int, float] = {}
    for name, items in lists.items():
        weight = fusion.weights.get(name, 0.0) if fusion.weights else 1.0
        for rank, item in enumerate(items):
            score[item] = score.get(item, 0.0) + max(weight, ZERO_WEIGHT_EPSILON) * (1 / (fusion.constant + rank + 1))
    return sorted(score, key=lambda item: (-score[item], item))


def _slow(fusion: ChannelWeights, lists: dict[str, list[int]], history: list[int], share: float) -> list[int]:
    """Oracle, position by position: a discovery is due when the cumulative density exceeds their count by a half."""
    repeats, discoveries = (
        _slow_list(
            one, {name: [item for item in items if (item in history) == is_repeat] for name, items in lists.items()}
        )
        for is_repeat, one in ((True, fusion.repeats), (False, fusion.discoveries))
    )
    merged: list[int] = []
    due, taken = 0.0, 0
    while repeats or discoveries:
        due += share * min(1, (len(merged) + 0.5) / FULL_DENSITY_POSITION) ** (1 - share)
        is_due = due >= taken + 0.5
        taken += is_due
        merged.append(((discoveries or repeats) if is_due else (repeats or discoveries)).pop(0))
    return merged


def _random(seed: int) -> tuple[dict[str, np.ndarray], list[list[int]], Fusion]:
    random = np.random.default_rng(seed)
    rows = {
        name: [random.permutation(np.arange(2, 32))[: random.integers(0, 20)].tolist() for _ in range(4)]
        for name in ("a", "b", "c")[: 2 + seed % 2]
    }
    history = [random.permutation(np.arange(2, 32))[: random.integers(0, 25)].tolist() for _ in range(4)]
    # Small integer weights make ties; a channel with weight 0 only fills up.
    first, second = (
        ReciprocalRank({name: float(random.integers(0, 3)) for name in rows}, constant=float(random.choice([1, 20])))
        for _ in range(2)
    )
    shares = {"": float(random.choice(DISCOVERY_SHARE_GRID)), "daily": 0.5}
    scenes = {"daily": ChannelWeights(second, first)}
    return {name: _candidates(*lists) for name, lists in rows.items()}, history, Fusion(first, second, shares, scenes)


@pytest.mark.parametrize("seed", range(8))
def test_fusion_equals_plain_python(seed: int) -> None:
    candidates, history, fusion = _random(seed)
    scenes = ["", "daily", "elsewhere", "daily"]
    fused = fusion.fuse(CandidateTable.merge(candidates, ragged(*history)), scenes)
    found_by = fused.found_by()
    for row, scene in enumerate(scenes):
        lists = {name: [item for item in one[row].tolist() if item] for name, one in candidates.items()}
        weights = fusion.scenes["daily"] if scene == "daily" else fusion
        expected = _slow(weights, lists, history[row], fusion.shares["daily" if scene == "daily" else ""])
        assert fused.items(50)[row].tolist() == expected + [0] * (50 - len(expected))
        places = np.flatnonzero(fused.row_C == row)
        assert fused.item_C[places].tolist() == expected and (np.diff(fused.score_C[places]) < 0).all()
        sources = [found_by[place] for place in places]
        for position, item in enumerate(expected):
            kind = {
                name: [one for one in items if (one in history[row]) == (item in history[row])]
                for name, items in lists.items()
            }
            names = [name for name in sorted(kind) if item in kind[name]]
            assert sources[position] == sorted(names, key=lambda name: kind[name].index(item))
    one_request = {name: one[1:2] for name, one in candidates.items()}
    assert (
        fusion.fuse(CandidateTable.merge(one_request, ragged(history[1])), ["daily"]).items(7)[0].tolist()
        == fused.items(7)[1].tolist()
    )


def test_tracks_that_favorites_propose_are_repeats() -> None:
    """They may be older than the history view; the same track by another channel only is a discovery."""
    candidates = {"favorites": _candidates([5, 7], [9, 0]), "popularity": _candidates([7, 8], [5, 9])}
    table = CandidateTable.merge(candidates, ragged([5], []), ["a", "favorites", "popularity"])
    found = zip(table.row_C.tolist(), table.item_C.tolist(), table.is_discovery_C.tolist(), strict=True)
    assert list(found) == [(0, 5, False), (0, 7, False), (0, 8, True), (1, 5, True), (1, 9, False)]
    assert table.rank_CH.tolist() == [[-1, 0, -1], [-1, 1, 0], [-1, -1, 0], [-1, -1, 0], [-1, 0, 0]]
    assert CandidateTable.merge({"popularity": candidates["popularity"]}, ragged([5], [])).is_discovery_C.all()


def test_order_is_the_same_with_equal_sources_items_and_scores_only() -> None:
    table = CandidateTable.merge({"a": _candidates([5, 7])}, ragged([5]))
    assert table.has_order_of(replace(table))
    for other in (table.take(np.array([1, 0])), table.scored(table.score_C + 1), replace(table, sources=("b",))):
        assert not table.has_order_of(other)


@pytest.mark.parametrize("width", [0, 3])
def test_empty_channels_give_padding(width: int) -> None:
    nothing = _candidates([0] * width)
    fused = Fusion().fuse(CandidateTable.merge({"a": nothing, "b": nothing}, ragged([[2]])))
    assert not len(fused) and fused.items(4).tolist() == [[0, 0, 0, 0]]


def test_tuning_weighs_the_right_channel_in_each_list() -> None:
    """`remembers` finds the right repeats and wrong discoveries, `explores` the reverse."""
    random = np.random.default_rng(0)
    lists = [random.permutation(np.arange(first, first + 298))[:280].tolist() for _ in range(200) for first in (2, 300)]
    history, others = lists[::2], lists[1::2]
    pairs = list(zip(history, others, strict=True))
    cases = [Case(f"{n % 7}", old[:40], new[:40], new[:40]) for n, (old, new) in enumerate(pairs)]
    candidates = {
        "remembers": _candidates(*([*old[:60], *new[220:]] for old, new in pairs)),
        "explores": _candidates(*([*new[:60], *old[220:]] for old, new in pairs)),
    }
    fusion, _ = fit_fusion(candidates, ragged(*history), recall_cases(cases))
    assert fusion.repeats.weights["remembers"] > fusion.repeats.weights["explores"]
    assert fusion.discoveries.weights["explores"] > fusion.discoveries.weights["remembers"]
    table = CandidateTable.merge(candidates, ragged(*history))
    by_share = fusion.fuse_by_share(table, CANDIDATES_PER_CHANNEL, [0.2])
    assert by_share[0.2].tolist() == fusion.fuse(table, share=0.2).items(CANDIDATES_PER_CHANNEL).tolist()
    assert fusion.shares[""] >= 0.4, "half of the targets are discoveries"


def test_the_share_stays_better_than_a_baseline() -> None:
    """Of 20 targets of each of 20 users, larger shares lose repeats; all their discoveries are found with the largest."""
    random = np.random.default_rng(0)
    cases = recall_cases([Case(f"{user:02}", [*range(2, 22)], [], [50]) for user in range(20)])

    def find(lost: int, discoveries: int) -> np.ndarray:
        rows = [random.permutation(np.arange(2, 22))[lost:] for _ in range(20)]
        padded = np.zeros((20, 21), dtype=np.int64)
        padded[:, : 20 - lost], padded[:discoveries, 20] = rows, 50
        return padded

    lists = {0.0: find(0, 0), 0.2: find(2, 10), 0.4: find(4, 20)}
    shares = [choose_share(lists, cases, baseline)[0] for baseline in (None, *(find(lost, 0) for lost in (5, 3, 2, 0)))]
    assert shares == [0.4, 0.4, 0.2, 0.0, 0.4], "with the last baseline, no share is better"


def test_scenes_with_other_good_channels_have_their_own_weights(tmp_path: Path) -> None:
    """`explores` finds the targets at night, `remembers` at all other times; noon equals morning."""
    random = np.random.default_rng(1)
    scenes = ["morning"] * 300 + ["noon"] * 250 + ["night"] * 220 + ["dawn"] * 30
    halves_CHN = random.permuted(np.tile(np.arange(2, 602), (len(scenes), 1)), axis=1).reshape(len(scenes), 2, 300)
    targets = [halves_HN[int(scene == "night"), :40] for scene, halves_HN in zip(scenes, halves_CHN, strict=True)]
    cases = recall_cases([Case(f"{n % 11}", items.tolist(), [], []) for n, items in enumerate(targets)])
    cases.scenes[:] = scenes
    candidates = {"remembers": halves_CHN[:, 0, :150], "explores": halves_CHN[:, 1, :150]}
    fusion, _ = fit_fusion(candidates, ragged(*[list(range(2, 602))] * len(scenes)), cases)
    assert set(fusion.scenes) == {"night"}, "morning and noon do not improve, dawn has too few cases"
    assert fusion.repeats.weights["remembers"] > fusion.repeats.weights["explores"]
    assert fusion.scenes["night"].repeats.weights["explores"] > fusion.scenes["night"].repeats.weights["remembers"]
    assert fusion.scenes["night"].discoveries == fusion.discoveries, "there are no discoveries"
    fusion.save(tmp_path / "fusion.json")
    assert Fusion.load(tmp_path / "fusion.json") == fusion
