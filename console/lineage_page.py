"""Where a release comes from as one row of steps: logs ▸ marts ▸ features ▸ models ▸ release.

Says only what the release's own manifest holds; what one does not hold is said to be missing. The names of landed files
come from the landing zone, because a release keeps none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from config.settings import Settings
from console.releases import Release
from console.style import format_datetime, render_definition_list, render_link, render_table

HASH_PREFIX_LENGTH = 12
UNKNOWN_LINEAGE = '<p class="soft">This release does not say: it was made before releases kept it.</p>'


def render_lineage(release: Release, settings: Settings, names: Mapping[str, str]) -> str:
    """The five steps as an ordered list; `names`: hash of a landed source → its name."""
    manifest = release.manifest
    kept = manifest.get("lineage", {})
    found = (
        ("Logs", _logs(kept, names) + _links(settings, "landed")),
        ("Marts", _marts(manifest, kept) + _links(settings, "marts", "dbt")),
        ("Features", _features(manifest, kept) + _links(settings, "skew")),
        ("Models", _models(manifest, kept) + _evaluation(manifest, settings)),
        ("Release", _release(release, settings)),
    )
    rows = "".join(f"<li><h3>{name}</h3>{body}</li>" for name, body in found)
    return f'<ol class="steps">{rows}</ol>'


def _logs(kept: Mapping[str, Any], names: Mapping[str, str]) -> str:
    if "logs" not in kept:
        return UNKNOWN_LINEAGE
    parts = []
    for row in kept["logs"]:
        name = names.get(row["landing_id"])
        pairs = [
            ("source", escape(name) if name else "no longer in the landing zone"),
            ("format", escape(row["format"])),
            ("landed", f"{format_datetime(row['landed_at'])}, {row['landed']:,} rows"),
            ("quarantined", f"{row['quarantined']:,} rows"),
            ("id", _hash(row["landing_id"])),
        ]
        parts.append(render_definition_list(pairs))
    return "".join(parts) or '<p class="soft">No landing is written down.</p>'


def _marts(manifest: Mapping[str, Any], kept: Mapping[str, Any]) -> str:
    marts = manifest.get("marts", {})
    pairs = [("as of", escape(str(manifest.get("as_of", "not said"))))]
    if "marts_published_at" in kept:
        pairs.append(("published", format_datetime(kept["marts_published_at"])))
    pairs.append(("hash of all", _hash(manifest.get("inputs"))))
    rows = [[escape(name), _hash(digest)] for name, digest in sorted(marts.items())]
    return render_definition_list(pairs) + _render_details(
        f"{len(rows)} marts", render_table(["mart", "hash of its rows"], rows)
    )


def _features(manifest: Mapping[str, Any], kept: Mapping[str, Any]) -> str:
    services: dict[str, list[str]] = {}
    for model, service in manifest.get("feature_services", {}).items():
        services.setdefault(service, []).append(model)
    named = ", ".join(
        service if models == [service] else f"{service} (read by {', '.join(models)})"
        for service, models in sorted(services.items())
    )
    digest = kept.get("feature_definitions")
    pairs = [("services", escape(named) or "none"), ("definitions", _hash(digest) if digest else "not written down")]
    return render_definition_list(pairs)


def _models(manifest: Mapping[str, Any], kept: Mapping[str, Any]) -> str:
    final, held_out = (manifest.get("models", {}).get(fit, {}) for fit in ("final", "held_out"))
    fitted = kept.get("fitted_at", {})
    rows = [
        [
            escape(name.replace("/", " ")),
            _hash(digest),
            _hash(held_out.get(name)),
            format_datetime(fitted[name]) if name in fitted else "not said",
        ]
        for name, digest in sorted(final.items())
    ]
    pairs = [
        ("recipe", escape(str(manifest.get("recipe", "not said")))),
        ("ranker", escape(str(manifest.get("ranker") or "none"))),
        ("vocabulary", _hash(manifest.get("vocabulary"))),
    ]
    return render_definition_list(pairs) + _render_details(
        f"{len(rows)} models", render_table(["model", "refitted", "held out", "refitted at"], rows)
    )


def _release(release: Release, settings: Settings) -> str:
    manifest = release.manifest
    gate = manifest.get("gate", {})
    other = gate.get("compared_with")
    pairs = [
        ("id", f"<code>{escape(release.release_id)}</code>"),
        ("made", format_datetime(str(manifest.get("released_at", "not said")))),
        ("now", format_state(release.state)),
        ("code", _hash(manifest.get("revision"))),
        ("held against", render_link(f"/releases/{other}", other) if other else "no release: it was the first"),
    ]
    if forced := manifest.get("forced"):
        pairs.append(("forced", f'<span class="bad">{escape(str(forced["reason"]))}</span>'))
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in gate.get("reasons", []))
    service = render_link(f"http://{settings.host}:{settings.recommender_port}/status", "what the recommender serves")
    return (
        render_definition_list(pairs)
        + (_render_details("What the gate said", f"<ul>{reasons}</ul>") if reasons else "")
        + f"<p>{service}</p>"
    )


def _evaluation(manifest: Mapping[str, Any], settings: Settings) -> str:
    """A link to the report, if it is this release's: the figures that the gate saw are in both."""
    mlflow = render_link(f"http://{settings.host}:{settings.mlflow_port}", "MLflow")
    try:
        slate = json.loads((settings.reports / "evaluation.json").read_text())["slate"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"<p>{mlflow}</p>"
    if slate != manifest.get("metrics", {}).get("slate"):
        return f'<p class="soft">The evaluation report is of other models.</p><p>{mlflow}</p>'
    return f"<p>{render_link('/reports/evaluation.html', 'evaluation')} · {mlflow}</p>"


def _links(settings: Settings, *names: str) -> str:
    known = {
        "landed": ("reports/data_docs/landed/outcome.html", "/reports/data_docs/landed/outcome.html", "data docs"),
        "marts": ("reports/data_docs/marts/outcome.html", "/reports/data_docs/marts/outcome.html", "data docs"),
        "dbt": ("dbt/target/static_index.html", "/dbt/target/static_index.html", "dbt docs"),
        "skew": ("reports/skew.json", "/read/skew", "skew"),
    }
    found = [
        render_link(address, words)
        for file, address, words in map(known.__getitem__, names)
        if (settings.home / file).exists()
    ]
    return f"<p>{' · '.join(found)}</p>" if found else ""


def _hash(value: object) -> str:
    """The beginning of a hash, the whole of it where a pointer rests."""
    if not value:
        return "not said"
    text = escape(str(value))
    return f'<code title="{text}">{text[:HASH_PREFIX_LENGTH]}</code>'


def format_state(state: str) -> str:
    """What a release does, its time as a person reads it."""
    words, _, moment = state.rpartition(" ")
    return f"{escape(words)} {format_datetime(moment)}" if moment[:2] == "20" else escape(state)


def _render_details(summary: str, body: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"
