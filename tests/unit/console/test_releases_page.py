"""Pages of releases and experiments, and of the comparison of two releases."""

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


def test_the_share_of_each_arm_is_not_rounded_to_zero(reported):
    console_home.add_release(reported, {"release": "newest", "released_at": "2026-06-12T03:00:00+00:00"})
    arm = {"release": "first", "path": "", "share": 0.004}
    past = {"experiment": "old", "canaries": [arm], "since": "2026-06-01T08:00:00", "until": "2026-06-08T09:30:00"}
    split = {"experiment": "x", "canaries": [arm], "since": "2026-06-11T00:00:00", "history": [past]}
    console_home.write(reported.releases / "shares.json", split)
    assert "<td>first 0.4%</td>" in render_releases_page(reported)
    assert "canary for 0.4% of the users since" in [release.state.text for release in list_releases(reported)]


def test_experiments_are_shown_when_there_are_any(reported):
    assert 'id="experiments"' not in render_releases_page(reported)
    console_home.write(reported.reports / "experiment.json", COMPARISON)
    page = render_releases_page(reported)
    assert 'id="experiments"' in page and '<p class="bad">sample-ratio &lt;mismatch&gt;.</p>' in page


def test_two_releases_are_compared_side_by_side(reported):
    older = {"release": "first", "released_at": "2026-06-01T03:00:00+00:00", "as_of": "2026-06-01", "recipe": "small"}
    slate = {"served": {"recall_at_30": {"all": [0.2, 0.19, 0.21]}}}
    console_home.add_release(reported, older | {"metrics": {"slate": slate}})
    page = render_release("second", "", reported)
    assert '<td class="gain">+0.1100</td>' in page and "11.0 more" in page
    reversed_page = render_release("first", "", reported)
    assert '<td class="loss">-0.1100</td>' in reversed_page and "11.0 fewer" in reversed_page


def test_an_unknown_release_has_no_page(reported):
    assert render_release("nowhere", "", reported) is None
    assert render_release("second", "../first", reported) is None
