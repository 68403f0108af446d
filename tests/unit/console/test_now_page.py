"""First page: when its sentence is red, and what the live values show."""

import re
import time

import pytest

from console import now_page
from console.live_metrics import MetricsSampler, Sample
from console.now_page import live_value, render_now_page, render_state

NOW_S = 10_000.0


@pytest.fixture
def sampler(reported):
    """A sampler that has just read two requests per second."""
    sampler = MetricsSampler(reported)
    sampler._samples.append(Sample(time.time(), 2.0, 30.0, 0.0, 10, event_lag_ms=5.0))
    return sampler


@pytest.mark.parametrize(
    ("services", "degraded", "ago_s", "problem", "kind", "says"),
    [
        (
            {"MLflow": True, "the recommender": True},
            [],
            0,
            "",
            "good",
            ["2 services", "second", "2.0 requests/s"],
        ),
        ({"MLflow": True, "the recommender": False}, [], 0, "", "bad", ["the recommender does not answer"]),
        ({"MLflow": False, "the recommender": False}, [], 0, "", "bad", ["MLflow and the recommender do not"]),
        ({"MLflow": True}, [], 900, "", "bad", ["15 minutes"]),
        ({"MLflow": True}, [], 0, "the page has no metric", "bad", ["no live values"]),
        ({"MLflow": True}, [{"part": "realtime", "why": "<late>", "error": ""}], 0, "", "bad", ["realtime"]),
    ],
)
def test_the_sentence_is_red_if_anything_is_not_well(
    reported, sampler, monkeypatch, services, degraded, ago_s, problem, kind, says
):
    monkeypatch.setattr(now_page, "read_services", lambda _: services)
    monkeypatch.setattr(now_page, "find_degraded_parts", lambda *_: degraded)
    sampler.last_s -= ago_s
    sampler.problem = problem
    page = render_state(reported, sampler)
    found, sentence = re.search(r'<h1 id="verdict" class="(\w+)">(.*?)</h1>', page, re.DOTALL).groups()
    assert found == kind and [text for text in says if text not in sentence] == []
    assert ('class="value bad"' in page) is bool(ago_s or problem), "no value of before is shown as the present one"


@pytest.mark.parametrize(
    ("times_s", "value", "ends"),
    [
        ((5, 10), "30 ms", [119.0]),
        ((5, 1205, 1235), "30 ms", [79.3, 119.0]),  # twenty minutes without samples are a gap
        ((900, 905), "", [89.3]),
        ((4000,), "", []),
        ((), "", []),
    ],
)
def test_live_values_end_now_and_have_gaps(times_s, value, ends):
    shown = live_value([{"time_s": NOW_S - ago_s, "p95_ms": 30.0} for ago_s in times_s], "p95_ms", NOW_S)
    assert shown["value"] == value
    assert [float(line.split()[-1].split(",")[0]) for line in shown["lines"]] == pytest.approx(ends, abs=1)


@pytest.mark.parametrize("can_act", [True, False])
def test_the_way_back_is_a_button_or_the_exact_command(reported, sampler, can_act):
    page = render_now_page(reported, reported, sampler, can_act)
    assert ('href="/actions/roll_back"' in page) is can_act
    assert bool(re.search(r'<pre id="command">cd .* -m releases rollback</pre>', page)) is not can_act
    (reported.releases / "active.json").write_text(
        '{"release": "second", "path": "", "activated_at": "", "history": []}'
    )
    without = render_now_page(reported, reported, sampler, can_act)
    assert "roll_back" not in without and 'id="command"' not in without
