"""Pages of releases and experiments, of one release, and of the comparison of two releases."""

from __future__ import annotations

from config.settings import Settings
from console.actions import command_line
from console.page_parts import render
from console.releases import (
    build_lineage,
    find_active,
    find_previous,
    landed_source_names,
    list_releases,
    read_json,
)
from training.evaluation.report.release_comparison import compare_choices, compare_metrics, describe_changes
from web import format_utc_minute


def render_releases_page(settings: Settings) -> str:
    """Page with what the active release changed, all releases and their recall, and the experiments if there are any."""
    split = read_json(settings.releases / "shares.json")
    releases = list_releases(settings)
    active, previous = find_active(releases), find_previous(releases, settings)
    arms = [(str(canary["release"]), float(canary["share"])) for canary in split.get("canaries", [])]
    return render(
        "releases.html",
        releases=releases,
        active=active,
        previous=previous,
        changes=describe_changes(active.manifest, previous.manifest) if active and previous else [],
        command=command_line(settings),
        experiment=str(split.get("experiment", "")) if arms else "",
        since=str(split.get("since", "")),
        arms=arms,
        rest=1 - sum(share for _, share in arms),
        report=read_json(settings.reports / "experiment.json"),
        past=[
            (period["experiment"], ", ".join(f"{one['release']} {one['share']:.1%}" for one in period["canaries"]),
             format_utc_minute(period["since"]), format_utc_minute(period["until"]))
            for period in reversed(split.get("history", []))
        ],
    )  # fmt: skip


def render_release(name: str, other: str, settings: Settings) -> str | None:
    """Page of one release: what it changed, and its lineage; None if it, or the other one, is not in the store.

    Args:
        name: Id of the release.
        other: Id of the release that it is compared with; empty for the previous one of the active release, of others the active one.
        settings: Home of the releases.
    """
    releases = list_releases(settings)
    by_id = {release.release_id: release for release in releases}
    if name not in by_id or (other and other not in by_id):
        return None
    default = find_previous(releases, settings) if by_id[name].is_active else find_active(releases)
    this, compared = by_id[name], by_id.get(other, default)
    both = (this.manifest, compared.manifest) if compared else ({}, {})
    return render(
        "release.html",
        lineage=build_lineage(this, settings, landed_source_names(settings)),
        releases=releases,
        other=compared.release_id if compared else "",
        changes=describe_changes(*both),
        values={"metric_changes": compare_metrics(*both), "choice_changes": compare_choices(*both)},
    )
