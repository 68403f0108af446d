"""The operator's index: where the services are, what there is to read, and where each release comes from."""

from __future__ import annotations

from html import escape

from config.settings import Settings
from console.lineage_page import format_state, render_lineage
from console.releases import Release, landed_source_names, list_releases
from console.reports import REPORTS, Report, list_ablations
from console.style import INDEX_LINK, format_datetime, render_link, render_page, render_table


def render_index(settings: Settings) -> str:
    """The index page. A report that does not exist yet is named with the verb that makes it."""
    known = list_releases(settings)
    reports = [*REPORTS, *list_ablations(settings)]
    cards = "".join(_card(report, settings) for report in reports)
    if not list_ablations(settings):
        cards += _missing_card("Studies", "ablations on validation", "make study")
    return render_page(
        "Segue",
        "<h1>Segue</h1>"
        f'<p class="soft" title="{escape(str(settings.home))}">Everything to read about <code>{escape(settings.home.name)}</code>.</p>'
        f'<h2>Services</h2><ul class="cards">{_services(settings)}</ul>'
        f'<h2>Reports</h2><ul class="cards">{cards}</ul>'
        f"<p>{render_link('/data', 'What the line has made of data')}: landings, marts, features, models.</p>"
        f'<h2 id="releases">Releases</h2>{_releases(known, settings)}',
    )


def render_release(name: str, settings: Settings) -> str | None:
    """Where one release comes from; None where the store has none of that name."""
    for release in list_releases(settings):
        if release.release_id == name:
            lineage = render_lineage(release, settings, landed_source_names(settings))
            return render_page(
                f"Release {name}",
                f"{INDEX_LINK}<h1>Release {escape(name)}</h1><p>{format_state(release.state)}</p>{lineage}",
            )
    return None


def _services(settings: Settings) -> str:
    known = (
        ("Airflow", settings.airflow_port, "", "trigger, watch, run again"),
        ("Listening page", settings.recommender_port, "", "choose a listener, play, skip, like"),
        ("API", settings.recommender_port, "/docs", "the recommender over HTTP, to try out"),
        ("MLflow", settings.mlflow_port, "", "training runs"),
    )
    return "".join(
        f"<li><h3>{render_link(f'http://{settings.host}:{port}{path}', name)}</h3><p>{what}</p></li>"
        for name, port, path, what in known
    )


def _card(report: Report, settings: Settings) -> str:
    if not report.exists(settings):
        return _missing_card(report.name, report.description, report.make_command)
    fact = report.read_summary(settings)
    return (
        f"<li><h3>{render_link(report.url_path, report.name)}</h3><p>{escape(report.description)}</p>"
        + (f"<p>{escape(fact)}</p>" if fact else "")
        + f"<p><small>written {format_datetime(report.modified_at(settings).isoformat())}</small></p></li>"
    )


def _missing_card(name: str, what: str, verb: str) -> str:
    return (
        f'<li class="missing"><h3>{escape(name)}</h3><p>{escape(what)}</p>'
        f"<p><small>not made yet: <code>{escape(verb)}</code></small></p></li>"
    )


def _releases(known: list[Release], settings: Settings) -> str:
    if not known:
        return "<p>No release yet: <code>make run</code> makes the first, if the gate lets it pass.</p>"
    active = known[0] if known[0].is_active else None
    lineage = (
        f"<p>In service: <code>{escape(active.release_id)}</code>, and where it comes from.</p>"
        + render_lineage(active, settings, landed_source_names(settings))
        if active
        else "<p>None of them is in service.</p>"
    )
    rows = []
    for one in known:
        interval = one.manifest.get("gate", {}).get("figures", {}).get("slate")
        rows.append(
            [
                render_link(f"/releases/{one.release_id}", one.release_id),
                format_state(one.state),
                escape(str(one.manifest.get("as_of", ""))),
                escape(str(one.manifest.get("recipe", ""))),
                "{:.4f} [{:.4f}, {:.4f}]".format(*interval) if interval else "",
                format_datetime(str(one.manifest.get("released_at", ""))),
            ]
        )
    heads = ["release", "what it does", "as of", "recipe", "recall@30 of the slate", "made"]
    return lineage + "<h2>All releases</h2>" + render_table(heads, rows)
