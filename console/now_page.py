"""First page of the console: health, live values, links to the services and reports, the active release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from config.settings import Settings
from console.charts import sparkline
from console.page_parts import REPORTS, render, report_links, runs_url
from console.releases import build_lineage, find_active, landed_source_names, list_releases

Samples = Sequence[Mapping[str, Any]]

LIVE_VALUES = (
    ("requests_per_s", "Requests", "{:.1f}/s"),
    ("p95_ms", "Latency, 95th percentile", "{:.0f} ms"),
    ("error_share", "Errors", "{:.1%}"),
)


def render_now_page(settings: Settings, degraded: Sequence[Mapping[str, str]], samples: Samples) -> str:
    """HTML page.

    Args:
        settings: Settings whose host is the one that the client reached.
        degraded: Parts that do not work, see `console.service_status`.
        samples: Live samples of the last hour, see `console.live_metrics`.
    """
    releases = list_releases(settings)
    active = find_active(releases)
    lineage = build_lineage(active, settings, landed_source_names(settings)) if active else None
    previous = lineage["compared_with"] if lineage else None
    return render(
        "now.html",
        home=settings.home,
        services=_services(settings),
        reports=report_links(settings, *REPORTS),
        has_releases=bool(releases),
        lineage=lineage,
        previous=previous if previous in {release.release_id for release in releases} else None,
        **_health(degraded, samples),
    )


def render_health(degraded: Sequence[Mapping[str, str]], samples: Samples) -> str:
    """Part of the page that changes while it is open: what does not work, and the live values as sparklines."""
    return render("health.html", **_health(degraded, samples))


def _health(degraded: Sequence[Mapping[str, str]], samples: Samples) -> dict[str, Any]:
    charts = []
    for key, title, unit in LIVE_VALUES:
        values = [sample[key] for sample in samples]
        known = [value for value in values if value is not None]
        charts.append((title, sparkline(values), unit.format(max(known)) if known else ""))
    return {"degraded": degraded, "charts": charts}


def _services(settings: Settings) -> list[dict[str, str]]:
    recommender = settings.url(settings.recommender_port)
    services = (
        ("Airflow", settings.url(settings.airflow_port), "trigger, watch, run again"),
        ("Listening page", recommender, "choose a listener, play, skip, like"),
        ("API", f"{recommender}/docs", "interactive documentation of the recommender's HTTP API"),
        ("MLflow", runs_url(settings), "training runs"),
        ("Grafana", settings.grafana_url, "requests, events and features over time"),
    )
    return [{"name": name, "url": url, "description": description} for name, url, description in services if url]
