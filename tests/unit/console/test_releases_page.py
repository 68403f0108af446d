"""Pages of releases and experiments, and of the comparison of two releases."""

import re

import pytest

from console.releases import list_releases
from console.releases_page import render_comparison_page, render_releases_page
from tests.support import console_home
from tests.support.console_home import MANIFEST

COMPARISON = {
    "experiment": "discoveries",
    "since": "2026-06-11T00:00:00",
    "until": "2026-06-12T00:00:00",
    "sample_ratio": {"holds": False, "says": "sample-ratio mismatch"},
    "arms": {"discoveries/first": {"users": 1200, "requests": 3, "exposures": 90}},
    "differences": {
        "discoveries/first - discoveries/production": {
            "play_rate": [0.02, 0.01, 0.03],
            "finish_rate": [0.0, -0.01, 0.01],
            "skip_rate": [0.02, 0.01, 0.03],
            "likes_per_1000": None,
        }
    },
}


@pytest.fixture
def here(here):
    console_home.write_reports(here)
    return here


def test_an_experiment_can_be_started_with_each_other_release(here):
    page = render_releases_page(here)
    assert "No experiment is running" in page
    assert '<a href="/actions/start_experiment?release=first">Experiment …</a>' in page
    assert "start_experiment?release=second" not in page, "it is in service"


def test_the_running_experiment_shows_its_shares_and_can_be_stopped(here):
    past = {
        "experiment": "old",
        "beside": [{"release": "first", "share": 0.2}],
        "since": "2026-06-01T08:00:00+00:00",
        "until": "2026-06-08T09:30:00+00:00",
    }
    split = {"experiment": "discoveries", "beside": [{"release": "first", "path": "", "share": 0.1}]}
    console_home.write(here.releases / "shares.json", split | {"since": "2026-06-11T00:00:00+00:00", "history": [past]})
    page = render_releases_page(here)
    assert "<b>discoveries</b> runs since 2026-06-11 00:00 UTC" in page
    assert "<td>2026-06-01 08:00 UTC</td><td>2026-06-08 09:30 UTC</td>" in page
    assert "<b>10.0%</b>" in page and "<b>90.0%</b>" in page
    assert '<a class="button" href="/actions/stop_experiment">' in page and "start_experiment" not in page
    assert "first 20.0%" in page


def test_the_share_of_each_arm_can_be_changed_and_is_not_rounded_to_zero(here):
    console_home.add_release(here, {"release": "newest", "released_at": "2026-06-12T03:00:00+00:00"})
    arm = {"release": "first", "path": "", "share": 0.004}
    past = {"experiment": "old", "beside": [arm], "since": "2026-06-01T08:00:00", "until": "2026-06-08T09:30:00"}
    split = {"experiment": "x", "beside": [arm], "since": "2026-06-11T00:00:00", "history": [past]}
    console_home.write(here.releases / "shares.json", split)
    page = render_releases_page(here)
    assert re.findall(r"Change the share of (\w+)", page) == ["first"] and "<td>first 0.4%</td>" in page
    assert "canary for 0.4% of the users since" in [release.state.text for release in list_releases(here)]


def test_differences_are_colored_by_their_better_direction(here):
    console_home.write(here.reports / "experiment.json", COMPARISON)
    page = render_releases_page(here)
    charts = page.split("<h3>")[1:]
    assert [chart.split("</h3>")[0] for chart in charts] == [
        "Plays per exposure",
        "Full plays per play",
        "Skips per play; lower is better",
    ]
    kinds = [chart.split('<tr class="')[1].split('"')[0] for chart in charts]
    assert kinds == ["gain", "unclear", "loss"]
    assert '<p class="bad">sample-ratio mismatch.</p>' in page


def test_a_difference_of_too_few_users_is_not_significant(here):
    pair = "discoveries/first - discoveries/production"
    console_home.write(
        here.reports / "experiment.json", COMPARISON | {"differences": {pair: {"play_rate": [0.02, None, None]}}}
    )
    page = render_releases_page(here)
    chart = page.split("<h3>")[1]
    assert '<tr class="unclear">' in chart and "+0.0200" in chart
    assert "too few users for an interval" in page


@pytest.mark.parametrize("broken", ["", "{", "[]", "{}"])
def test_a_malformed_comparison_is_left_out(here, broken):
    console_home.write(here.reports / "experiment.json", broken)
    assert "No comparison yet" in render_releases_page(here)


def test_two_releases_are_compared_side_by_side(here):
    older = {"release": "first", "released_at": "2026-06-01T03:00:00+00:00", "as_of": "2026-06-01", "recipe": "small"}
    slate = {"served": {"recall_at_30": {"all": [0.2, 0.19, 0.21]}}}
    console_home.add_release(here, older | {"metrics": {"slate": slate}})
    page = render_comparison_page("", "", here)
    assert '<option value="second" selected>second, as of 2026-06-10, active</option>' in page
    assert '<td class="gain">+0.1100</td>' in page
    assert '<tr class="differs"><th scope="row">recipe</th><td>debug</td><td>small</td></tr>' in page
    reversed_page = render_comparison_page("first", "second", here)
    assert '<td class="loss">-0.1100</td>' in reversed_page


def test_a_paired_difference_of_the_gate_is_shown(here):
    figures = MANIFEST["gate"]["figures"] | {"slate - production": [0.01, 0.005, 0.015]}
    console_home.add_release(here, MANIFEST | {"gate": MANIFEST["gate"] | {"figures": figures}})
    older = {"release": "first", "metrics": {"slate": MANIFEST["metrics"]["slate"]}}
    console_home.add_release(here, older)
    assert '<td class="gain">+0.0100<small>[+0.0050, +0.0150]</small></td>' in render_comparison_page(
        "second", "first", here
    )
    assert "paired</th>" not in render_comparison_page("first", "second", here)


def test_an_unknown_release_is_not_compared(here):
    assert render_comparison_page("nowhere", "", here) is None
    assert render_comparison_page("second", "../first", here) is None
