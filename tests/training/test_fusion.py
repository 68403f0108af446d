from pathlib import Path

import numpy as np

from training.data import TrainingData
from training.fusion import Fusion
from training.recall import Candidates


def _candidates(*rows: list[int]) -> Candidates:
    width = max(len(row) for row in rows)
    items = np.array([row + [0] * (width - len(row)) for row in rows], dtype=np.int64)
    return Candidates(items, np.where(items > 0, 0.0, -np.inf).astype(np.float32))


A = _candidates([5, 6, 7], [9])
B = _candidates([7, 8], [3, 9])


def _slow(fusion: Fusion, lists: dict[str, list[int]], scene: str = "") -> list[int]:
    score: dict[int, float] = {}
    weights = fusion.weights.get(scene, fusion.weights[""])
    for name, items in lists.items():
        for rank, item in enumerate(items[: fusion.cap]):
            score[item] = score.get(item, 0.0) + weights.get(name, 0.0) / (fusion.constant + rank + 1)
    return sorted((item for item in score if score[item] > 0), key=lambda item: (-score[item], item))


def test_equals_the_formula_and_keeps_who_found_what() -> None:
    fusion = Fusion({"": {"a": 1.0, "b": 0.7}, "daily": {"a": 0.1, "b": 1.0}}, constant=10.0)
    fused = fusion.fuse({"a": A, "b": B}, 4, ["", "daily"])
    assert fused.items_BK[0].tolist() == _slow(fusion, {"a": [5, 6, 7], "b": [7, 8]})
    assert fused.items_BK[1].tolist() == [*_slow(fusion, {"a": [9], "b": [3, 9]}, "daily"), 0, 0]
    assert fused.found_by(0, 0) == ["b", "a"]
    assert fused.found_by(0, 1) == ["a"]
    assert (fused.scores_BK <= 1).all()


def test_cap_and_missing_channel() -> None:
    fusion = Fusion({"": {"a": 1.0, "b": 1.0}}, cap=1)
    assert set(fusion.fuse({"a": A, "b": B}, 4).items_BK[0].tolist()) == {5, 7, 0}
    assert fusion.fuse({"b": B}, 2).items_BK.tolist() == [[7, 0], [3, 0]]


def test_fit_prefers_the_channel_that_is_right(data: TrainingData, tmp_path: Path) -> None:
    cases = data.recall_cases("validation")
    right = [cases.items["targets"][case].tolist() for case in range(len(cases))]
    wrong = [[item for item in range(2, 30) if item not in row][:20] for row in right]
    good, bad = _candidates(*right), _candidates(*wrong)
    fusion = Fusion.fit({"good": good, "bad": bad}, cases)
    assert fusion.worth({"good": good, "bad": bad}, cases) == 3.0
    fusion.save(tmp_path / "fusion.json")
    assert Fusion.load(tmp_path / "fusion.json") == fusion
