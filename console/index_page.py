"""Index of the console (services, reports, releases) and the page of one release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from config.settings import Settings
from console.mlflow_runs import runs_url
from console.releases import Release, build_lineage, find_active, landed_source_names, list_releases
from console.reports import REPORTS, Report, list_ablations
from console.templates import render


def render_index(settings: Settings, degraded: Sequence[Mapping[str, Any]] = ()) -> str:
    """Index page. A report that does not exist yet is listed with the command that generates it.

    Args:
        settings: Settings whose host is the one that the client reached.
        degraded: Parts of the recommender that do not work, as in its `/status`.
    """
    releases = list_releases(settings)
    ablations = list_ablations(settings)
    reports = [_report_context(report, settings) for report in (*REPORTS, *ablations)]
    if not ablations:
        reports.append(
            {"name": "Ablations", "description": "ablations on validation", "url": "", "make_command": "make ablation"}
        )
    active = find_active(releases)
    return render(
        "index.html",
        home=settings.home,
        services=_services(settings),
        degraded=degraded,
        reports=reports,
        releases=[_release_context(release) for release in releases],
        active=active,
        lineage=build_lineage(active, settings, landed_source_names(settings)) if active else None,
    )


def render_release(name: str, settings: Settings) -> str | None:
    """Page with the lineage of one release; None if the store has no release of that name."""
    for release in list_releases(settings):
        if release.release_id == name:
            return render("release.html", lineage=build_lineage(release, settings, landed_source_names(settings)))
    return None


def _services(settings: Settings) -> list[dict[str, str]]:
    recommender = settings.url(settings.recommender_port)
    services = (
        ("Airflow", settings.url(settings.airflow_port), "trigger, watch, run again"),
        ("Listening page", recommender, "choose a listener, play, skip, like"),
        ("API", f"{recommender}/docs", "interactive documentation of the recommender's HTTP API"),
        ("MLflow", runs_url(settings), "training runs"),
    )
    return [{"name": name, "url": url, "description": description} for name, url, description in services]


def _report_context(report: Report, settings: Settings) -> dict[str, Any]:
    context = {"name": report.name, "description": report.description, "url": "", "make_command": report.make_command}
    if report.exists(settings):
        context["url"] = report.url_path
        context["summary"] = report.read_summary(settings)
        context["modified_at"] = report.modified_at(settings).isoformat()
    return context


def _release_context(release: Release) -> dict[str, Any]:
    manifest = release.manifest
    interval = manifest.get("gate", {}).get("figures", {}).get("slate")
    return {
        "release_id": release.release_id,
        "state": release.state,
        "is_active": release.is_active,
        "as_of": manifest.get("as_of", ""),
        "recipe": manifest.get("recipe", ""),
        "recall": "{:.4f} [{:.4f}, {:.4f}]".format(*interval) if interval else "",
        "released_at": str(manifest.get("released_at", "")),
    }
