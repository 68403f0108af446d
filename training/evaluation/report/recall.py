"""Of the evaluation's page what is about recall: every list, by history and facet, channels beside each other, newcomers."""

from __future__ import annotations

from html import escape

from training.evaluation.report import charts
from training.evaluation.report.cells import (
    REACHABLE,
    Content,
    choice_table,
    group_table,
    has_few_users,
    interval_cell,
    order_rows,
    row_class,
)
from training.evaluation.report.charts import Bar

PARTS = ("all", "repeat", "discovery", "reachable")


def recall_section(content: Content) -> str:
    """Every list: figures, the choices behind them."""
    table = order_rows(content["recall"])
    header = "".join(f"<th colspan=2>{part}</th>" for part in PARTS)
    units = "<th>@50</th><th>@200</th>" * len(PARTS)
    rows = "".join(
        f"<tr class={row_class(name)}><th>{escape(name)}</th>"
        + "".join(
            f"<td>{interval_cell(one[metric][part])}</td>"
            for part in PARTS
            for metric in ("recall_at_50", "recall_at_200")
        )
        + f"<td>{interval_cell(one['ndcg_at_10']['all'])}</td><td>{one['coverage']:.1%}</td></tr>"
        for name, one in table.items()
    )
    plots = "".join(
        f"<h3>{title}</h3>{charts.interval_chart([Bar(name, one[metric][part], row_class(name)) for name, one in table.items()])}"
        for metric, part, title in (
            ("recall_at_200", "all", "recall@200, all targets"),
            ("recall_at_200", "reachable", "recall@200, reachable discoveries"),
        )
    )
    drawn = "sessions, for so few users say nothing of others," if has_few_users(content) else "users"
    return (
        "<h2>Recall</h2><p>Of what a session's listener played for 30 seconds or more, how much was among the first candidates? "
        f"Averaged over a user's sessions, then over users; intervals by drawing {drawn} 1,000 times.</p>"
        f"{plots}<table><thead><tr><th rowspan=2></th>{header}<th>ndcg@10</th><th rowspan=2>coverage</th></tr>"
        f"<tr>{units}<th>all</th></tr></thead><tbody>{rows}</tbody></table>"
        + choice_table(
            "Share of places for discoveries, on validation",
            "share",
            content["chosen"].get("share_table"),
            ("recall_at_50/all", "recall_at_200/all", "recall_at_200/repeat", REACHABLE),
        )
        + _baseline_tables(content["chosen"]["baselines"])
    )


def _baseline_tables(tuned: Content) -> str:
    """What each baseline was chosen from."""
    return "".join(
        choice_table(
            f"{escape(name)}: {escape(one['chosen'])}, the best {one['by'].replace('_at_', '@')} on {one['cases']:,} validation sessions",
            "parameters",
            one["table"],
            ("recall_at_50/reachable", REACHABLE, "recall_at_50/all/with_heard", "recall_at_200/all/with_heard"),
        )
        for name, one in tuned.items()
    )


def history_section(content: Content) -> str:
    """By how much was played before."""
    words = "<h2>By length of history</h2><p>recall@50 by how many plays a user had before the session.</p>"
    return words + group_table(content["by_history"])


def facets_section(content: Content) -> str:
    """By what the targets are."""
    by_facet = content["by_facet"]
    if not any(by_facet.values()):
        return "<h2>By facet</h2><p>No target of the test sessions has a language, a style or another facet.</p>"
    return (
        "<h2>By facet</h2><p>recall@50 of the targets that have a value, for the commonest values.</p>"
        + group_table(by_facet)
    )


def channels_section(content: Content) -> str:
    """How much of one channel another finds as well."""
    overlap, hits = content["overlap_at_50"], content["hits_at_200"]
    header = "".join(f"<th>{escape(name)}</th>" for name in overlap)
    rows = "".join(
        f"<tr><th>{escape(one)}</th>"
        + "".join(f'<td style="--share:{share:.2f}" class=heat>{share:.0%}</td>' for share in others.values())
        + f"<td>{hits[one]['share']:.1%}</td><td>{hits[one]['unique']:.1%}</td></tr>"
        for one, others in overlap.items()
    )
    return (
        "<h2>Channels beside each other</h2><p>How much of a row's first 50 candidates the column's first 50 hold too; the share of all "
        "targets found at 200 by any channel that the row finds, and that only the row finds.</p>"
        f"<table><tr><th></th>{header}<th>finds</th><th>only it finds</th></tr>{rows}</table>"
    )


def exposure_section(content: Content) -> str:
    """How much of the candidates is new."""
    exposure = content["exposure"]
    catalogue = exposure["catalogue"]
    rows = "".join(
        f"<tr class={row_class(name)}><th>{escape(name)}</th>"
        + "".join(_share_cells(exposure[kind].get(name)) for kind in ("recall", "slate"))
        + "</tr>"
        for name in order_rows(exposure["recall"] | exposure["slate"])
    )
    header = "<th>new tracks</th><th>by new artists</th>" * 2
    return (
        "<h2>Newcomers</h2><p>How much of the candidates is tracks that nobody had played in the train parts, and how much is by "
        f"artists of whom nobody had played anything. Of the catalogue it is {catalogue['new_tracks']:.1%} and "
        f"{catalogue['by_new_artists']:.1%}.</p>"
        "<table><thead><tr><th rowspan=2></th><th colspan=2>of 200 candidates</th><th colspan=2>of the slate</th></tr>"
        f"<tr>{header}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _share_cells(shares: dict[str, float] | None) -> str:
    return "<td></td><td></td>" if shares is None else "".join(f"<td>{share:.2%}</td>" for share in shares.values())
