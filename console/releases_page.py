"""Pages of releases and experiments, of one release, and of the comparison of two releases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.settings import Settings
from console.charts import recall_chart
from console.page_parts import render
from console.releases import Release, build_lineage, find_active, landed_source_names, list_releases, read_json
from training.evaluation.report.charts import Bar, by_value, interval_chart
from training.evaluation.report.release_comparison import compare_choices, compare_metrics
from training.evaluation.report.verdicts import difference_class
from web import format_utc_minute

DIFFERENCE_NAMES = {
    "play_rate": "plays per exposure",
    "finish_rate": "full plays per play",
    "skip_rate": "skips per play; lower is better",
    "likes_per_1000": "likes per 1,000 exposures",
}


def render_releases_page(settings: Settings) -> str:
    """Page with all releases and their recall, the running experiment, and the newest comparison."""
    split = read_json(settings.releases / "shares.json")
    releases = list_releases(settings)
    active = find_active(releases)
    arms = [(str(canary["release"]), float(canary["share"])) for canary in split.get("canaries", [])]
    rest = 1 - sum(share for _, share in arms)
    return render(
        "releases.html",
        releases=[_release_context(release) for release in releases],
        recall=recall_chart(releases),
        experiment=str(split.get("experiment", "")) if arms else "",
        since=str(split.get("since", "")),
        arms=[*arms, (f"{active.release_id if active else 'no release'} (production)", rest)] if arms else [],
        report=_read_comparison(settings),
        can_start=active is not None and not arms,
        past=[
            (period["experiment"], ", ".join(f"{one['release']} {one['share']:.1%}" for one in period["canaries"]),
             format_utc_minute(period["since"]), format_utc_minute(period["until"]))
            for period in reversed(split.get("history", []))
        ],
    )  # fmt: skip


def render_release(name: str, settings: Settings) -> str | None:
    """Page with the lineage of one release; None if the store has no release of that name."""
    for release in list_releases(settings):
        if release.release_id == name:
            return render("release.html", lineage=build_lineage(release, settings, landed_source_names(settings)))
    return None


def render_comparison_page(this: str, other: str, settings: Settings) -> str | None:
    """Page with two releases side by side; None if one of them is not in the store.

    Args:
        this: Id of a release; empty for the active one, or the newest.
        other: Id of the release that it is compared with; empty for the newest other one.
        settings: Home of the releases.
    """
    releases = list_releases(settings)
    by_id = {release.release_id: release for release in releases}
    this = this or next(iter(by_id), "")
    other = other or next((name for name in by_id if name != this), "")
    if this not in by_id or (other and other not in by_id):
        return None
    values = _compare(by_id[this], by_id[other]) if other else {}
    return render("compare.html", releases=releases, this=this, other=other, values=values)


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


def _compare(this: Release, other: Release) -> dict[str, Any]:
    gate = this.manifest.get("gate") or {}
    paired = (
        gate.get("figures", {}).get("slate - production") if gate.get("compared_with") == other.release_id else None
    )
    return {
        "metric_changes": compare_metrics(this.manifest, other.manifest, paired),
        "choice_changes": compare_choices(this.manifest, other.manifest),
    }


def _read_comparison(settings: Settings) -> dict[str, Any] | None:
    """The newest comparison of arms, with one chart of differences per metric; None if there is none."""
    content = read_json(settings.reports / "experiment.json")
    try:
        arms: Mapping[str, Any] = content["arms"]
        return {
            "experiment": content["experiment"] or "",
            "since": content["since"],
            "until": content["until"],
            "sample_ratio": content["sample_ratio"],
            "arms": [
                (name, *(f"{arm[count]:,}" for count in ("users", "requests", "exposures")))
                for name, arm in arms.items()
            ],
            "charts": [
                (title, interval_chart(bars, signed=True, digits=4))
                for metric, title in DIFFERENCE_NAMES.items()
                if (bars := _difference_bars(content["differences"], metric))
            ],
        }
    except (KeyError, TypeError, ValueError):
        return None


def _difference_bars(differences: Mapping[str, Mapping[str, Any]], metric: str) -> list[Bar]:
    return by_value(
        [
            Bar(
                " − ".join(arm.rpartition("/")[2] for arm in pair.split(" - ")),
                row[metric],
                difference_class(row[metric], metric),
            )
            for pair, row in differences.items()
            if row.get(metric) is not None
        ]
    )
