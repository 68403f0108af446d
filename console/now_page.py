"""First page of the console: one sentence says whether all is well; then the release, live values, and the way back."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from config.settings import Settings
from console.actions import command_line
from console.charts import sparkline
from console.live_metrics import MAX_SILENCE_S, MetricsSampler
from console.page_parts import REPORTS, render, report_links, runs_url
from console.releases import find_active, find_previous, list_releases
from console.service_status import find_degraded_parts, read_services
from training.evaluation.report.release_comparison import describe_changes

HOUR_S, SPARK_STEP_S, SHOWN_S = 3600.0, 30.0, 60.0
"""Time of a small chart and of one of its points; a value is the mean of the last minute."""
LIVE_VALUES = {
    "requests_per_s": ("Requests", "{:.1f}/s"),
    "p95_ms": ("Latency, 95th percentile", "{:.0f} ms"),
    "error_share": ("Errors", "{:.1%}"),
    "event_lag_ms": ("Event lag, 95th percentile", "{:.0f} ms"),
}
"""Field of a sample → title, and form of the value."""


def render_now_page(settings: Settings, client: Settings, sampler: MetricsSampler, can_act: bool) -> str:
    """HTML page.

    Args:
        settings: Home, and addresses of the services.
        client: Settings whose host is the one that the client reached.
        sampler: Live samples of the last hour.
        can_act: Whether a rollback is possible here.
    """
    releases = list_releases(settings)
    active, previous = find_active(releases), find_previous(releases, settings)
    return render(
        "now.html",
        links=[*_services(client), *report_links(settings, *REPORTS)],
        previous=previous,
        changes=describe_changes(previous.manifest, active.manifest) if previous and active else [],
        can_act=can_act,
        command=command_line(settings, "rollback"),
        **_state(settings, sampler),
    )


def render_state(settings: Settings, sampler: MetricsSampler) -> str:
    """Part of the page that changes while it is open: the sentence, its causes, the release and the live values."""
    return render("state.html", **_state(settings, sampler))


def _state(settings: Settings, sampler: MetricsSampler) -> dict[str, Any]:
    now_s, samples = time.time(), sampler.samples()
    active = find_active(list_releases(settings))
    released_at, silence_s = str(active.manifest.get("released_at", "")) if active else "", now_s - sampler.last_s
    return {
        "services": read_services(settings),
        "silent": _duration(silence_s) if sampler.problem or silence_s > MAX_SILENCE_S else "",
        "problem": sampler.problem,
        "degraded": find_degraded_parts(settings, active, samples),
        "active": active,
        "age": _duration(now_s - datetime.fromisoformat(released_at).timestamp()) if released_at else "",
        "values": {key: live_value(samples, key, now_s) for key in LIVE_VALUES},
    }


def live_value(samples: Sequence[Mapping[str, Any]], key: str, now_s: float) -> dict[str, Any]:
    """Title, value of the last minute, largest value and chart of one field of the samples.

    The chart ends at `now_s` and is empty where there is no sample; older samples than the last minute are no value.
    """
    title, form = LIVE_VALUES[key]
    points: list[list[float]] = [[] for _ in range(int(HOUR_S / SPARK_STEP_S))]
    for sample in samples:
        place = int((sample["time_s"] - now_s + HOUR_S) // SPARK_STEP_S)
        if 0 <= place < len(points) and sample[key] is not None:
            points[place].append(sample[key])
    means = [sum(point) / len(point) if point else None for point in points]
    recent = [value for point in points[-int(SHOWN_S / SPARK_STEP_S) :] for value in point]
    known = [mean for mean in means if mean is not None]
    return {
        "title": title,
        "value": form.format(sum(recent) / len(recent)) if recent else "",
        "most": form.format(max(known)) if known else "",
        "lines": sparkline(means),
    }


def _duration(seconds: float) -> str:
    """A duration in its largest unit: `50 seconds`, `15 minutes`, `3 hours`, `9 days`."""
    minutes = seconds / 60
    units = (("day", minutes / 1440), ("hour", minutes / 60), ("minute", minutes), ("second", seconds))
    unit, count = next((one for one in units if one[1] >= 1), ("second", 1))
    return f"{count:.0f} {unit}{'s' * (round(count) != 1)}"


def _services(settings: Settings) -> list[dict[str, str]]:
    recommender = settings.url(settings.recommender_port)
    services = {
        "Airflow": settings.url(settings.airflow_port),
        "listening page": recommender,
        "API": f"{recommender}/docs",
        "MLflow": runs_url(settings),
        "Grafana": settings.grafana_url,
    }
    return [{"url": url, "text": name} for name, url in services.items() if url]
