"""The real service while releases are swapped, shared and rolled back by the real commands: nothing fails, nothing is mixed."""

import pytest

from tests.benchmarks import release_swap
from tests.benchmarks.release_swap import CHANGES, ONE, TWO, is_mixed

pytestmark = [pytest.mark.line, pytest.mark.timeout(600)]


def test_no_request_fails_and_no_answer_is_of_two_releases(tmp_path):
    with release_swap.service(tmp_path, tracks=400, recipe="debug", users=release_swap.ASKING) as (place, started):
        seen = release_swap.measured(place, started, seconds=6, rate=10, changes=CHANGES[:3])
    assert seen.releases == {ONE, TWO} and len(seen.memory) == 3
    assert seen.requests > 50
    assert (seen.failed, seen.mixed) == ([], [])
    assert (
        seen.of_two > 0
    )  # lists that one release began and another made longer, and every track of them says whose it is


def test_a_mixed_answer_would_be_seen():
    item = {"title": f"Song [{ONE}]", "reason": "because it is among the most played tracks"}
    assert not is_mixed({"release": ONE, "items": [item]})
    assert is_mixed({"release": TWO, "items": [item]})
    assert not is_mixed({"release": TWO, "items": [item | {"release": ONE}]})
    assert is_mixed({"release": ONE, "items": [item | {"reason": f"because it is close to Song 2 [{TWO}]"}]})
