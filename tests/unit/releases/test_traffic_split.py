"""Traffic split: stable per user, uniform, independent between experiments, at most all users."""

import json

import numpy as np
import pytest

from releases import traffic_split
from releases.traffic_split import CanaryRelease, InvalidTrafficSplit, TrafficSplit, hash_bucket

USERS = [f"u{number}" for number in range(20_000)]
# Five standard deviations of a share of 20,000 fair draws at most.
WITHIN = 5 * 0.5 / np.sqrt(len(USERS))


def split_of_two(first, second=0.0):
    canaries = [CanaryRelease("two", "/two", first)] + ([CanaryRelease("three", "/three", second)] if second else [])
    return TrafficSplit("colours", tuple(canaries))


def users_by_release(split):
    users = {}
    for user in USERS:
        users.setdefault(split.assign_release(user), set()).add(user)
    return users


def test_hash_is_stable():
    """The same in every process and version: a user who moves would be in both arms."""
    assert hash_bucket("u1", "colours") == pytest.approx(0.114223262106, abs=1e-9)


def test_users_are_split_by_the_shares():
    found = users_by_release(split_of_two(0.1, 0.3))
    assert {name: len(users) / len(USERS) for name, users in found.items()} == {
        "two": pytest.approx(0.1, abs=WITHIN),
        "three": pytest.approx(0.3, abs=WITHIN),
        None: pytest.approx(0.6, abs=WITHIN),
    }
    assert set(users_by_release(split_of_two(1.0))) == {"two"}
    assert set(users_by_release(TrafficSplit())) == {None}
    assert split_of_two(1.0).assign_release("") is None


def test_two_experiments_divide_users_independently():
    of_one = [hash_bucket(user, "colours") < 0.5 for user in USERS]
    of_other = [hash_bucket(user, "shapes") < 0.5 for user in USERS]
    assert np.mean(np.logical_and(of_one, of_other)) == pytest.approx(0.25, abs=WITHIN)


def test_users_stay_in_a_share_that_grows():
    small, large = users_by_release(split_of_two(0.1)), users_by_release(split_of_two(0.2))
    assert small["two"] < large["two"] and large[None] < small[None]


def test_shares_are_added_changed_and_ended(tmp_path):
    one = TrafficSplit().with_share("two", tmp_path, 0.1)
    assert one == TrafficSplit("two", (CanaryRelease("two", str(tmp_path), 0.1),))
    more = one.with_share("two", tmp_path, 0.5).with_share("three", tmp_path, 0.5)
    assert [(canary.release, canary.share) for canary in more.canaries] == [("two", 0.5), ("three", 0.5)]
    assert more.experiment == "two"
    less = more.with_share("two", tmp_path, 0)
    assert [canary.release for canary in less.canaries] == ["three"] and less.experiment == "two"
    assert less.with_share("three", tmp_path, 0) == TrafficSplit()
    assert TrafficSplit().with_share("two", tmp_path, 0.1, "colours").experiment == "colours"


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (lambda: split_of_two(0.7, 0.4), r"0.7 \(two\) \+ 0.4 \(three\) sum to 1.1, which exceeds 1"),
        (lambda: split_of_two(1.5), "share 1.5 of two"),
        (lambda: split_of_two(-0.1), "share -0.1 of two"),
        (lambda: TrafficSplit("x", (CanaryRelease("two", "/two", 0.1),) * 2), "at most 4 different"),
        (lambda: TrafficSplit("x", tuple(CanaryRelease(f"r{n}", "/r", 0.1) for n in range(5))), "5 canary releases"),
        (lambda: TrafficSplit(" ", (CanaryRelease("two", "/two", 0.1),)), "experiment ' '"),
        (lambda: split_of_two(0.1).with_share("three", "/three", 0.1, "shapes"), "experiment 'colours' is active"),
    ],
)
def test_invalid_splits_are_refused(create, message):
    with pytest.raises(InvalidTrafficSplit, match=message):
        create()


def test_file_has_the_split_and_its_history(tmp_path):
    file = tmp_path / "bentoml" / "shares.json"
    assert traffic_split.read(file) == TrafficSplit()
    for split in (split_of_two(0.1), split_of_two(0.2), split_of_two(0.2), TrafficSplit()):
        traffic_split.write(file, split)
        assert traffic_split.read(file) == split
    content = json.loads(file.read_text())
    assert [row["canaries"][0]["share"] for row in content["history"]] == [0.1, 0.2]
    first, second = content["history"]
    assert first["since"] < first["until"] <= second["since"] < second["until"] <= content["since"]
    assert first["experiment"] == "colours" and content["canaries"] == []
