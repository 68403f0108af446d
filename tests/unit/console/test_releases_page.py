"""Pages of releases and experiments, and of the comparison of two releases."""

import pytest

from console.releases import list_releases
from console.releases_page import render_release, render_releases_page
from tests.support import console_home

COMPARISON = {
    "experiment": "discoveries",
    "since": "2026-06-11T00:00:00",
    "until": "2026-06-12T00:00:00",
    "sample_ratio": {"holds": False, "says": "sample-ratio <mismatch>"},
    "arms": {"discoveries/first": {"users": 1200, "requests": 3, "exposures": 90}},
}


@pytest.fixture
def here(here):
    console_home.write_reports(here)
    return here


def test_the_share_of_each_arm_is_not_rounded_to_zero(here):
    console_home.add_release(here, {"release": "newest", "released_at": "2026-06-12T03:00:00+00:00"})
    arm = {"release": "first", "path": "", "share": 0.004}
    past = {"experiment": "old", "canaries": [arm], "since": "2026-06-01T08:00:00", "until": "2026-06-08T09:30:00"}
    split = {"experiment": "x", "canaries": [arm], "since": "2026-06-11T00:00:00", "history": [past]}
    console_home.write(here.releases / "shares.json", split)
    page = render_releases_page(here)
    assert "<td>first 0.4%</td>" in page
    assert "canary for 0.4% of the users since" in [release.state.text for release in list_releases(here)]


def test_experiments_are_shown_when_there_are_any(here):
    assert 'id="experiments"' not in render_releases_page(here)
    console_home.write(here.reports / "experiment.json", COMPARISON)
    page = render_releases_page(here)
    assert 'id="experiments"' in page and '<p class="bad">sample-ratio &lt;mismatch&gt;.</p>' in page


def test_two_releases_are_compared_side_by_side(here):
    older = {"release": "first", "released_at": "2026-06-01T03:00:00+00:00", "as_of": "2026-06-01", "recipe": "small"}
    slate = {"served": {"recall_at_30": {"all": [0.2, 0.19, 0.21]}}}
    console_home.add_release(here, older | {"metrics": {"slate": slate}})
    page = render_release("second", "", here)
    assert '<td class="gain">+0.1100</td>' in page and "11.0 more" in page
    reversed_page = render_release("first", "", here)
    assert '<td class="loss">-0.1100</td>' in reversed_page and "11.0 fewer" in reversed_page


def test_an_unknown_release_has_no_page(here):
    assert render_release("nowhere", "", here) is None
    assert render_release("second", "../first", here) is None
