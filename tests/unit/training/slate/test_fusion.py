"""Two lists and their merge against plain Python: ranks within a kind, places of the share, and what a fit prefers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.training.recall_cases import Case, ragged, recall_cases
from training.data.recall_at_k import recall_table
from training.recall import Candidates
from training.slate.discovery_share import FULL_DENSITY_POSITION, discovery_slot_mask
from training.slate.fusion import CANDIDATES_PER_CHANNEL, DISCOVERY_SHARE_GRID, ChannelWeights, Fusion
from training.slate.reciprocal_rank import (
    ZERO_WEIGHT_EPSILON,
    CandidatePool,
    FusionTargets,
    ReciprocalRank,
    _reciprocal_ranks,
)


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


def _slow(fusion: ChannelWeights, lists: dict[str, list[int]], heard: list[int], share: float) -> list[int]:
    """Place by place: a discovery is due whenever their places so far add up to half of one more."""
    repeats, discoveries = (
        _slow_list(
            one, {name: [item for item in items if (item in heard) == is_heard] for name, items in lists.items()}
        )
        for is_heard, one in ((True, fusion.repeats), (False, fusion.discoveries))
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
    heard = [random.permutation(np.arange(2, 32))[: random.integers(0, 25)].tolist() for _ in range(4)]
    # Small whole weights make ties; 0 is a channel that only fills up.
    one, other = (
        ReciprocalRank({name: float(random.integers(0, 3)) for name in rows}, constant=float(random.choice([1, 20])))
        for _ in range(2)
    )
    shares = {"": float(random.choice(DISCOVERY_SHARE_GRID)), "daily": 0.5}
    scenes = {"daily": ChannelWeights(other, one)}
    return {name: _candidates(*lists) for name, lists in rows.items()}, heard, Fusion(one, other, shares, scenes)


@pytest.mark.parametrize("seed", range(8))
def test_equals_plain_python(seed: int) -> None:
    candidates, heard, fusion = _random(seed)
    scenes = ["", "daily", "elsewhere", "daily"]
    fused = fusion.fuse(candidates, ragged(*heard), 50, scenes)
    for row, scene in enumerate(scenes):
        lists = {name: [item for item in one.items_BK[row].tolist() if item] for name, one in candidates.items()}
        its = fusion.scenes["daily"] if scene == "daily" else fusion
        expected = _slow(its, lists, heard[row], fusion.shares["daily" if scene == "daily" else ""])
        assert fused.items_BK[row].tolist() == expected + [0] * (50 - len(expected))
        found_by = fused.source_channels(row, len(expected))
        for place, item in enumerate(expected):
            kind = {
                name: [one for one in items if (one in heard[row]) == (item in heard[row])]
                for name, items in lists.items()
            }
            names = [name for name in sorted(kind) if item in kind[name]]
            assert found_by[place] == sorted(names, key=lambda name: kind[name].index(item))
    alone = fusion.fuse(
        {name: Candidates(one.items_BK[1:2], one.scores_BK[1:2]) for name, one in candidates.items()},
        ragged(heard[1]),
        7,
        ["daily"],
    )
    assert alone.items_BK[0].tolist() == fused.items_BK[1, :7].tolist()


def test_scores_say_the_place_and_begin_at_one() -> None:
    candidates, heard, fusion = _random(3)
    fused = fusion.fuse(candidates, ragged(*heard), 50)
    assert (fused.scores_BK[:, 0] == 1).all()
    assert ((fused.scores_BK > 0) == (fused.items_BK > 0)).all()
    assert (np.diff(fused.scores_BK, axis=1)[fused.items_BK[:, 1:] > 0] < 0).all()


def test_a_repeat_does_not_push_a_discovery_down() -> None:
    """Channel a has its one discovery after three repeats, b has another right at its top: by hand both are first."""
    candidates = {"a": _candidates([2, 3, 4, 9]), "b": _candidates([7, 8])}
    fusion = Fusion(discoveries=ReciprocalRank({"a": 1.0, "b": 0.9}))
    assert fusion.fuse(candidates, ragged([2, 3, 4]), 6, share=0.0).items_BK[0].tolist() == [2, 3, 4, 9, 7, 8]


def test_the_share_has_its_places() -> None:
    candidates = {"a": _candidates([*range(2, 102), *range(202, 302)])}
    heard = ragged(list(range(2, 102)))

    def discoveries(share: float) -> list[int]:
        (items,) = Fusion(shares={"": share}).fuse(candidates, heard, 100).items_BK
        assert Fusion().fuse(candidates, heard, 100, share=share).items_BK[0].tolist() == items.tolist()
        assert sorted(items[items < 200].tolist()) == items[items < 200].tolist()
        return np.flatnonzero(items > 200).tolist()

    assert discoveries(0.0) == []
    assert discoveries(1.0) == list(range(100))
    # By hand, ½ · √(x / 100) of the places at x: x ** 1.5 / 30 of the first x, and discovery n (from 1) where that is n - ½.
    assert discoveries(0.5)[:3] == [int((30 * (n - 0.5)) ** (2 / 3)) for n in (1, 2, 3)] == [6, 12, 17]


@pytest.mark.parametrize("share", [0.1, 0.35, 0.5, 0.8])
def test_fewer_places_are_the_beginning_of_more(share: float) -> None:
    assert discovery_slot_mask(share, 700)[:200].tolist() == discovery_slot_mask(share, 200).tolist()


def test_a_share_outside_the_unit_interval_is_refused() -> None:
    with pytest.raises(ValueError, match=r"share 1\.5 is outside"):
        Fusion().fuse({"a": _candidates([2])}, ragged([]), 1, share=1.5)


def test_who_has_heard_nothing_gets_discoveries_in_their_order() -> None:
    fused = Fusion().fuse({"popularity": _candidates([7, 3, 5])}, ragged([]), 4)
    assert fused.items_BK[0].tolist() == [7, 3, 5, 0]


@pytest.mark.parametrize("width", [0, 3])
def test_channels_that_all_found_nothing_give_nothing(width: int) -> None:
    nothing = _candidates([0] * width)
    fused = Fusion().fuse({"a": nothing, "b": nothing}, ragged([[2]]), 4)
    assert fused.items_BK.tolist() == [[0, 0, 0, 0]] and fused.scores_BK.tolist() == [[0, 0, 0, 0]]


def test_a_missing_channel_and_one_without_weight() -> None:
    fusion = Fusion(discoveries=ReciprocalRank({"a": 1.0, "b": 0.0}))
    a, b = _candidates([5, 6]), _candidates([9, 6])
    assert fusion.fuse({"a": a, "b": b}, ragged([]), 4).items_BK[0].tolist() == [5, 6, 9, 0]
    assert fusion.fuse({"b": b}, ragged([]), 4).items_BK[0].tolist() == [9, 6, 0, 0]
    with pytest.raises(ValueError, match="no channel"):
        fusion.fuse({}, ragged([]), 4)


def test_a_fit_sees_the_recall_of_the_list_that_is_served() -> None:
    """What the fit counts out without sorting is `recall_table` of `best`."""
    candidates, heard, fusion = _random(5)
    targets = [[2, 5, 9], [3], [4, 7, 11, 13, 30], [8, 6]]
    cases = recall_cases([Case(f"{n % 3}", one, [], []) for n, one in enumerate(targets)])
    found = CandidatePool.of(candidates, ragged(*heard))
    items = np.concatenate([[0], found.item_M])[found.top_k(fusion.repeats.scores(found), 30)]
    for k in (1, 3, 10):
        expected = recall_table(items, cases, (k,))[f"recall_at_{k}/all"]
        wanted = FusionTargets.of(found, cases.items["targets"], cases.user_C)
        score_BX = fusion.repeats._weighted_sum(
            _reciprocal_ranks(wanted.rank_HBX, fusion.repeats.constant), found.channels
        )
        assert wanted.recall(score_BX, (k,)) == pytest.approx([expected])


def test_a_fit_gives_each_list_to_the_channel_that_is_right_in_it(tmp_path: Path) -> None:
    """`remembers` knows the repeats and is wrong about what is new, `explores` the other way round."""
    random = np.random.default_rng(0)
    cases, heard, remembers, explores = [], [], [], []
    for n in range(200):
        old, new = random.permutation(np.arange(2, 300))[:280], random.permutation(np.arange(300, 600))[:280]
        cases.append(Case(f"{n % 7}", old[:40].tolist(), new[:40].tolist(), new[:40].tolist()))
        heard.append(old.tolist())
        remembers.append([*old[:60].tolist(), *new[220:].tolist()])
        explores.append([*new[:60].tolist(), *old[220:].tolist()])
    candidates = {"remembers": _candidates(*remembers), "explores": _candidates(*explores)}
    fusion, curve = Fusion.fit(candidates, ragged(*heard), recall_cases(cases))
    assert fusion.repeats.weights["remembers"] > fusion.repeats.weights["explores"]
    assert fusion.discoveries.weights["explores"] > fusion.discoveries.weights["remembers"]
    tables = {
        share: recall_table(
            fusion.fuse(candidates, ragged(*heard), CANDIDATES_PER_CHANNEL, share=share).items_BK, recall_cases(cases)
        )
        for share in DISCOVERY_SHARE_GRID
    }
    assert curve == tables
    assert fusion.shares == {"": max(DISCOVERY_SHARE_GRID)}, "half of what is listened to is new"
    fusion.save(tmp_path / "fusion.json")
    assert Fusion.load(tmp_path / "fusion.json") == fusion


def test_a_scene_with_enough_cases_has_a_share_of_its_own() -> None:
    """In the morning everything is old, at night everything is new; the rest are too few to say."""
    cases = [Case(f"{n % 9}", [2], [], []) for n in range(200)] + [Case(f"{n % 9}", [], [52], [52]) for n in range(203)]
    all_cases = recall_cases(cases)
    all_cases.scenes[:] = ["morning"] * 200 + ["night"] * 200 + ["noon"] * 3
    old, new = list(range(3, 52)), list(range(53, 102))
    candidates = {"a": _candidates(*[[*old, 2, 52, *new]] * 403)}
    heard = ragged(*[[2, *old]] * 403)
    fusion, _ = Fusion.fit(candidates, heard, all_cases)
    assert set(fusion.shares) == {"", "morning", "night"}
    assert fusion.shares["morning"] == 0.0
    assert fusion.shares["night"] > 0.0


def test_a_scene_in_which_other_channels_are_right_has_weights_of_its_own(tmp_path: Path) -> None:
    """At night what `explores` finds is listened to, at all other times what `remembers` finds; noon is as the morning."""
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
    heard = ragged(*[list(range(2, 602))] * len(cases))
    fusion, _ = Fusion.fit(candidates, heard, all_cases)
    assert set(fusion.scenes) == {"night"}, "morning and noon gain nothing, dawn is too few"
    assert fusion.repeats.weights["remembers"] > fusion.repeats.weights["explores"]
    assert fusion.scenes["night"].repeats.weights["explores"] > fusion.scenes["night"].repeats.weights["remembers"]
    assert fusion.scenes["night"].discoveries == fusion.discoveries, "nothing was to be discovered"
    assert "in night repeats by explores" in fusion.format_summary()
    fusion.save(tmp_path / "fusion.json")
    assert Fusion.load(tmp_path / "fusion.json") == fusion


def test_a_fusion_without_scenes_can_be_read(tmp_path: Path) -> None:
    """As releases have it that were made before scenes had weights."""
    Fusion(shares={"": 0.3}).save(tmp_path / "fusion.json")
    known = json.loads((tmp_path / "fusion.json").read_text())
    del known["scenes"]
    (tmp_path / "fusion.json").write_text(json.dumps(known))
    assert Fusion.load(tmp_path / "fusion.json") == Fusion(shares={"": 0.3})


def test_without_cases_there_is_a_fusion_all_the_same() -> None:
    fusion, curve = Fusion.fit({"a": _candidates([2])}, ragged(), recall_cases([]))
    assert fusion == Fusion() and curve == {}
