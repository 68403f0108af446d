"""First page of the console: health, links to the services and reports, the active release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from config.settings import Settings
from console.page_parts import REPORTS, render, report_links
from console.releases import build_lineage, find_active, landed_source_names, list_releases


def render_now_page(settings: Settings, degraded: Sequence[Mapping[str, str]]) -> str:
    """HTML page.

    Args:
        settings: Settings whose host is the one that the client reached.
        degraded: Parts that do not work, see `console.service_status`.
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
        degraded=degraded,
    )


def _services(settings: Settings) -> list[dict[str, str]]:
    recommender = settings.url(settings.recommender_port)
    services = (
        ("Airflow", settings.url(settings.airflow_port), "trigger, watch, run again"),
        ("Listening page", recommender, "choose a listener, play, skip, like"),
        ("API", f"{recommender}/docs", "interactive documentation of the recommender's HTTP API"),
        ("MLflow", settings.url(settings.mlflow_port), "training runs"),
        ("Grafana", settings.grafana_url, "requests, events and features over time"),
    )
    return [{"name": name, "url": url, "description": description} for name, url, description in services if url]
