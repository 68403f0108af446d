"""Fusion of repeats and discoveries against plain Python, and tuning of its weights and shares."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.training.recall_cases import Case, ragged, recall_cases
from training.data.recall_cases import objective_draws, recall_table
from training.recall.channel import Candidates
from training.slate.fusion import (
    DISCOVERY_SHARE_GRID,
    FULL_DENSITY_POSITION,
    ChannelWeights,
    Fusion,
    choose_share,
    discovery_slot_mask,
)
from training.slate.reciprocal_rank import (
    ZERO_WEIGHT_EPSILON,
    CandidatePool,
    FusionTargets,
    ReciprocalRank,
    _reciprocal_ranks,
    add_repeats,
)
from training.slate.scene_settings import CANDIDATES_PER_CHANNEL


def _candidates(*rows: list[int]) -> Candidates:
    width = max(len(row) for row in rows)
    items = np.array([row + [0] * (width - len(row)) for row in rows], dtype=np.int64).reshape(len(rows), width)
    return Candidates(items, np.where(items > 0, 0.0, -np.inf).astype(np.float32))


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


def _random(seed: int) -> tuple[dict[str, Candidates], list[list[int]], Fusion]:
    random = np.random.default_rng(seed)
    rows = {
        name: [random.permutation(np.arange(2, 32))[: random.integers(0, 20)].tolist() for _ in range(4)]
        for name in ("a", "b", "c")
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
    fused = fusion.fuse(candidates, ragged(*history), 50, scenes)
    for row, scene in enumerate(scenes):
        lists = {name: [item for item in one.items_BK[row].tolist() if item] for name, one in candidates.items()}
        weights = fusion.scenes["daily"] if scene == "daily" else fusion
        expected = _slow(weights, lists, history[row], fusion.shares["daily" if scene == "daily" else ""])
        assert fused.items_BK[row].tolist() == expected + [0] * (50 - len(expected))
        sources = fused.source_channels(row, len(expected))
        for position, item in enumerate(expected):
            kind = {
                name: [one for one in items if (one in history[row]) == (item in history[row])]
                for name, items in lists.items()
            }
            names = [name for name in sorted(kind) if item in kind[name]]
            assert sources[position] == sorted(names, key=lambda name: kind[name].index(item))
    single = fusion.fuse(
        {name: Candidates(one.items_BK[1:2], one.scores_BK[1:2]) for name, one in candidates.items()},
        ragged(history[1]),
        7,
        ["daily"],
    )
    assert single.items_BK[0].tolist() == fused.items_BK[1, :7].tolist()


def test_scores_decrease_by_position_from_one() -> None:
    candidates, history, fusion = _random(3)
    fused = fusion.fuse(candidates, ragged(*history), 50)
    assert (fused.scores_BK[:, 0] == 1).all()
    assert ((fused.scores_BK > 0) == (fused.items_BK > 0)).all()
    assert (np.diff(fused.scores_BK, axis=1)[fused.items_BK[:, 1:] > 0] < 0).all()


def test_repeats_do_not_lower_the_rank_of_discoveries() -> None:
    """Channel a has its only discovery after three repeats, b has one at the top: both have rank 0."""
    candidates = {"a": _candidates([2, 3, 4, 9]), "b": _candidates([7, 8])}
    fusion = Fusion(discoveries=ReciprocalRank({"a": 1.0, "b": 0.9}))
    assert fusion.fuse(candidates, ragged([2, 3, 4]), 6, share=0.0).items_BK[0].tolist() == [2, 3, 4, 9, 7, 8]


def test_discoveries_have_their_positions() -> None:
    candidates = {"a": _candidates([*range(2, 102), *range(202, 302)])}
    history = ragged(list(range(2, 102)))

    def discoveries(share: float) -> list[int]:
        (items,) = Fusion(shares={"": share}).fuse(candidates, history, 100).items_BK
        assert Fusion().fuse(candidates, history, 100, share=share).items_BK[0].tolist() == items.tolist()
        assert sorted(items[items < 200].tolist()) == items[items < 200].tolist()
        return np.flatnonzero(items > 200).tolist()

    assert discoveries(0.0) == []
    assert discoveries(1.0) == list(range(100))
    # Density ½ · √(x / 100) at x: x ** 1.5 / 30 of the first x positions; discovery n (from 1) is where that is n - ½.
    assert discoveries(0.5)[:3] == [int((30 * (n - 0.5)) ** (2 / 3)) for n in (1, 2, 3)] == [6, 12, 17]


@pytest.mark.parametrize("share", [0.1, 0.35, 0.5, 0.8])
def test_slot_mask_is_a_prefix_of_longer_ones(share: float) -> None:
    assert discovery_slot_mask(share, 700)[:200].tolist() == discovery_slot_mask(share, 200).tolist()


def test_share_outside_the_unit_interval_raises() -> None:
    with pytest.raises(ValueError, match=r"share 1\.5 is outside"):
        Fusion().fuse({"a": _candidates([2])}, ragged([]), 1, share=1.5)


def test_users_without_history_get_discoveries_in_order() -> None:
    fused = Fusion().fuse({"popularity": _candidates([7, 3, 5])}, ragged([]), 4)
    assert fused.items_BK[0].tolist() == [7, 3, 5, 0]


def test_tracks_that_favourites_propose_are_repeats() -> None:
    """They may be older than the history view; the same track by another channel only is a discovery."""
    candidates = {"favourites": _candidates([5, 7], [9, 0]), "popularity": _candidates([7, 8], [5, 9])}
    history = add_repeats(ragged([5], []), candidates)
    assert [history[0].tolist(), history[1].tolist()] == [[5, 7], [9]]
    pool = CandidatePool.of(candidates, history)
    found = zip(pool.row_M.tolist(), pool.item_M.tolist(), pool.is_repeat_M.tolist(), strict=True)
    assert list(found) == [(0, 5, True), (0, 7, True), (0, 8, False), (1, 5, False), (1, 9, True)]
    without = add_repeats(ragged([5], []), {"popularity": candidates["popularity"]})
    assert [without[0].tolist(), without[1].tolist()] == [[5], []]


@pytest.mark.parametrize("width", [0, 3])
def test_empty_channels_give_padding(width: int) -> None:
    nothing = _candidates([0] * width)
    fused = Fusion().fuse({"a": nothing, "b": nothing}, ragged([[2]]), 4)
    assert fused.items_BK.tolist() == [[0, 0, 0, 0]] and fused.scores_BK.tolist() == [[0, 0, 0, 0]]


def test_missing_channels_and_channels_without_weight() -> None:
    fusion = Fusion(discoveries=ReciprocalRank({"a": 1.0, "b": 0.0}))
    a, b = _candidates([5, 6]), _candidates([9, 6])
    assert fusion.fuse({"a": a, "b": b}, ragged([]), 4).items_BK[0].tolist() == [5, 6, 9, 0]
    assert fusion.fuse({"b": b}, ragged([]), 4).items_BK[0].tolist() == [9, 6, 0, 0]
    with pytest.raises(ValueError, match="no channel"):
        fusion.fuse({}, ragged([]), 4)


def test_tuning_objective_equals_the_recall_of_the_list() -> None:
    """The recall computed without sorting equals `recall_table` of the sorted list."""
    candidates, history, fusion = _random(5)
    targets = [[2, 5, 9], [3], [4, 7, 11, 13, 30], [8, 6]]
    cases = recall_cases([Case(f"{n % 3}", one, [], []) for n, one in enumerate(targets)])
    pool = CandidatePool.of(candidates, ragged(*history))
    items = np.concatenate([[0], pool.item_M])[pool.top_k(fusion.repeats.scores(pool), 30)]
    for k in (1, 3, 10):
        expected = recall_table(items, cases, (k,))[f"recall_at_{k}/all"]
        fusion_targets = FusionTargets.of(pool, cases.items["targets"], cases.user_C)
        score_BX = fusion.repeats._weighted_sum(
            _reciprocal_ranks(fusion_targets.rank_HBX, fusion.repeats.constant), pool.channels
        )
        assert fusion_targets.recall(score_BX, (k,)) == pytest.approx([expected])


def test_tuning_weighs_the_right_channel_in_each_list(tmp_path: Path) -> None:
    """`remembers` finds the right repeats and wrong discoveries, `explores` the reverse."""
    random = np.random.default_rng(0)
    cases, history, remembers, explores = [], [], [], []
    for n in range(200):
        old, new = random.permutation(np.arange(2, 300))[:280], random.permutation(np.arange(300, 600))[:280]
        cases.append(Case(f"{n % 7}", old[:40].tolist(), new[:40].tolist(), new[:40].tolist()))
        history.append(old.tolist())
        remembers.append([*old[:60].tolist(), *new[220:].tolist()])
        explores.append([*new[:60].tolist(), *old[220:].tolist()])
    candidates = {"remembers": _candidates(*remembers), "explores": _candidates(*explores)}
    fusion, curve = Fusion.fit(candidates, ragged(*history), recall_cases(cases))
    assert fusion.repeats.weights["remembers"] > fusion.repeats.weights["explores"]
    assert fusion.discoveries.weights["explores"] > fusion.discoveries.weights["remembers"]
    tables = {
        share: recall_table(
            fusion.fuse(candidates, ragged(*history), CANDIDATES_PER_CHANNEL, share=share).items_BK, recall_cases(cases)
        )
        for share in DISCOVERY_SHARE_GRID
    }
    assert {share: {name: row[name] for name in tables[share]} for share, row in curve.items()} == tables
    assert fusion.fuse_by_share(candidates, ragged(*history), 30)[0.2].tolist() == (
        fusion.fuse(candidates, ragged(*history), 30, share=0.2).items_BK.tolist()
    )
    assert fusion.shares[""] >= 0.4, "half of the targets are discoveries"
    assert replace(fusion, shares={"": 0.23}).fuse_by_share(candidates, ragged(*history), 30)[0.23].tolist() == (
        fusion.fuse(candidates, ragged(*history), 30, share=0.23).items_BK.tolist()
    )
    fusion.save(tmp_path / "fusion.json")
    assert Fusion.load(tmp_path / "fusion.json") == fusion


def test_the_share_of_few_cases_of_one_user_is_chosen_too() -> None:
    """The user plays known tracks only, so that each discovery costs a repeat."""
    known, unknown = [*range(2, 202)], [*range(300, 500)]
    cases = recall_cases([Case("u", known[150:], [], [], play_number=n) for n in range(20)])
    candidates = {"remembers": _candidates(*[known] * 20), "explores": _candidates(*[unknown] * 20)}
    assert Fusion.fit(candidates, ragged(*[known] * 20), cases)[0].shares == {"": 0.0}


@pytest.mark.parametrize("users", [4, 30])
def test_drawn_objectives_equal_plain_python(users: int) -> None:
    random = np.random.default_rng(users)
    numbers = random.integers(users, size=80)
    cases = recall_cases(
        [
            Case(f"{user:02}", [1, 2, 3], [4, 5], [4] * int(user % 3 > 0 and random.random() < 0.8), play_number=n)
            for n, user in enumerate(numbers)
        ]
    )
    lists = [random.permuted(np.tile(np.arange(1, 9), (80, 1)), axis=1)[:, :4] for _ in range(2)]
    unit_C = np.unique(numbers, return_inverse=True)[1] if users >= 10 else np.arange(80)
    count_RU = np.random.default_rng(0).multinomial(
        unit_C.max() + 1, np.full(unit_C.max() + 1, 1 / (unit_C.max() + 1)), 7
    )
    expected = np.zeros((7, 2))
    for row, column in np.ndindex(7, 2):
        for kind, k in (("targets", 2), ("targets", 3), ("reachable", 3)):
            by_unit: dict[int, list[float]] = {}
            for case in range(80):
                targets = set(cases.items[kind][case].tolist())
                if targets:
                    hits = len(targets & set(lists[column][case, :k].tolist()))
                    by_unit.setdefault(int(unit_C[case]), []).append(hits / len(targets))
            drawn = [np.mean(values) for unit, values in by_unit.items() for _ in range(count_RU[row, unit])]
            expected[row, column] += np.mean(drawn)
    np.testing.assert_allclose(objective_draws(lists, cases, 7, (2, 3)), expected)


def test_the_share_is_the_mean_of_the_best_shares_of_many_samples_of_users() -> None:
    """Of 20 users, most have the same recall with both shares; a few gain or lose a target with the larger one."""

    def share_lists(gains: int, losses: int) -> dict[float, np.ndarray]:
        found = np.tile([[2, 3]], (20, 1))
        small, large = found.copy(), found.copy()
        small[:gains, 1], large[gains : gains + losses, 1] = 99, 99
        return {0.25: small, 0.3: large, 0.5: np.full((20, 2), 99)}

    cases = recall_cases([Case(f"{user:02}", [2, 3], [], []) for user in range(20)])
    for gains, losses, expected in ((7, 2, 0.3), (2, 7, 0.25), (4, 3, 0.28)):
        share, curve = choose_share(share_lists(gains, losses), cases)
        assert share == pytest.approx(sum(value * row["best_in_samples"] for value, row in curve.items()), abs=0.0051)
        assert share == pytest.approx(expected, abs=0.011)
        assert curve[0.5]["best_in_samples"] == 0 < curve[0.3]["best_in_samples"] < 1
    assert sum(row["best_in_samples"] for row in curve.values()) == pytest.approx(1)


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
    assert choose_share(lists, cases)[0] == 0.4
    assert choose_share(lists, cases, find(3, 0))[0] == 0.2
    assert choose_share(lists, cases, find(2, 0))[0] == 0.0
    assert choose_share(lists, cases, find(5, 0))[0] == 0.4
    assert choose_share(lists, cases, find(0, 0))[0] == 0.4, "no share is better"


def test_scenes_with_enough_cases_have_their_own_share() -> None:
    """All targets are repeats in the morning and discoveries at night; noon has too few cases."""
    cases = [Case(f"{n % 9}", [2], [], []) for n in range(200)] + [Case(f"{n % 9}", [], [52], [52]) for n in range(203)]
    all_cases = recall_cases(cases)
    all_cases.scenes[:] = ["morning"] * 200 + ["night"] * 200 + ["noon"] * 3
    old, new = list(range(3, 52)), list(range(53, 102))
    candidates = {"a": _candidates(*[[*old, 2, 52, *new]] * 403)}
    history = ragged(*[[2, *old]] * 403)
    fusion, _ = Fusion.fit(candidates, history, all_cases)
    assert set(fusion.shares) == {"", "morning", "night"}
    assert fusion.shares["morning"] == 0.0
    assert fusion.shares["night"] > 0.0


def test_scenes_with_other_good_channels_have_their_own_weights(tmp_path: Path) -> None:
    """`explores` finds the targets at night, `remembers` at all other times; noon equals morning."""
    random = np.random.default_rng(1)
    scenes = ["morning"] * 300 + ["noon"] * 250 + ["night"] * 220 + ["dawn"] * 30
    cases, remembers, explores = [], [], []
    for n, scene in enumerate(scenes):
        first, second = np.split(random.permutation(np.arange(2, 602)), 2)
        right = second if scene == "night" else first
        cases.append(Case(f"{n % 11}", right[:40].tolist(), [], []))
        remembers.append(first[:150].tolist())
        explores.append(second[:150].tolist())
    all_cases = recall_cases(cases)
    all_cases.scenes[:] = scenes
    candidates = {"remembers": _candidates(*remembers), "explores": _candidates(*explores)}
    history = ragged(*[list(range(2, 602))] * len(cases))
    fusion, _ = Fusion.fit(candidates, history, all_cases)
    assert set(fusion.scenes) == {"night"}, "morning and noon do not improve, dawn has too few cases"
    assert fusion.repeats.weights["remembers"] > fusion.repeats.weights["explores"]
    assert fusion.scenes["night"].repeats.weights["explores"] > fusion.scenes["night"].repeats.weights["remembers"]
    assert fusion.scenes["night"].discoveries == fusion.discoveries, "there are no discoveries"
    assert "in night repeats by explores" in fusion.format_summary()
    fusion.save(tmp_path / "fusion.json")
    assert Fusion.load(tmp_path / "fusion.json") == fusion


def test_files_without_scenes_can_be_loaded(tmp_path: Path) -> None:
    """Old releases have no weights per scene."""
    Fusion(shares={"": 0.3}).save(tmp_path / "fusion.json")
    content = json.loads((tmp_path / "fusion.json").read_text())
    del content["scenes"]
    (tmp_path / "fusion.json").write_text(json.dumps(content))
    assert Fusion.load(tmp_path / "fusion.json") == Fusion(shares={"": 0.3})


def test_fit_without_cases_returns_the_default() -> None:
    fusion, curve = Fusion.fit({"a": _candidates([2])}, ragged(), recall_cases([]))
    assert fusion == Fusion() and curve == {}
