"""The evaluation as a page for a person: one HTML file, nothing loaded from anywhere.

Reads the evaluation's JSON only, so the page can be made again from it. Knows nothing about how figures are made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from training.evaluation.baselines.tuned import BASELINES
from training.evaluation.report import charts, ranking, recall, scenes
from training.evaluation.report.cells import (
    REACHABLE,
    Content,
    choice_table,
    format_value,
    has_few_users,
    is_significant,
    order_rows,
    row_class,
)
from training.evaluation.report.charts import Bar
from training.evaluation.report.style import STYLE

# Over all targets, differences to these are large, certain and in the JSON; drawn, they would flatten all others.
DISCOVERY_BASELINES = ("own_artists_unheard", "popularity", *BASELINES)
SPLITS = {
    "user_time": "each user's own time: the first 80 % of the plays train, the next 10 % validate, the last 10 % test. "
    "Parameters may come from other users' later dates; every feature is as it was known before its request",
    "global_time": "one clock for all: 80 % of the plays train, the next 10 % validate, the last 10 % test",
}


def render_page(content: Content) -> str:
    """The whole page."""
    sections = (
        _summary_section,
        recall.recall_section,
        _slate_section,
        ranking.ranking_section,
        ranking.heads_section,
        ranking.slices_section,
        _differences_section,
        recall.history_section,
        recall.facets_section,
        scenes.scenes_section,
        scenes.collections_section,
        recall.channels_section,
        recall.exposure_section,
        ranking.calibration_section,
        _glossary_section,
    )
    # A table that is wider than the page scrolls in a frame of its own, by keyboard too.
    body = "".join(section(content) for section in sections)
    body = re.sub(r"<table>.*?</table>", r"<div class=wide tabindex=0>\g<0></div>", body, flags=re.DOTALL)
    title = f"Segue evaluation, {escape(content['as_of'])}"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body><main>{body}</main></body></html>\n'


def _summary_section(content: Content) -> str:
    chosen, cases, sample = content["chosen"], content["cases"], content["slate_sample"]
    fusion = chosen["fusion"]
    weights = "; ".join(
        f"{kind}: " + ", ".join(f"{escape(name)} {weight:g}" for name, weight in fusion[kind]["weights"].items())
        for kind in ("repeats", "discoveries")
    )
    shares = ", ".join(f"{share:g} {escape(scene)}".strip() for scene, share in sorted(fusion["shares"].items()))
    best = content["best_memory"]
    lead = content["differences"].get(f"fused - {best}", {}).get("recall_at_200")
    discoverer = content["best_discoverer"]
    found = content["differences"].get(f"fused - {discoverer}", {}).get(REACHABLE)
    served = content["differences"].get("served - fused", {}).get("recall_at_30")
    users = "1 user" if cases["test_users"] == 1 else f"{cases['test_users']:,} users"
    rows = [
        ("Split", escape(str(SPLITS.get(content["split"], content["split"])))),
        (
            "Test",
            f"{cases['test_sessions']:,} sessions of {users}, {cases['test_ranking_cases']:,} ranking cases",
        ),
        (
            "Slate",
            f"{sample['requests']:,} of these sessions, at most {sample['per_user']} a user, drawn by {escape(sample['drawn_by'])}",
        ),
        ("Fusion", f"{weights}; chosen on {chosen['fusion_cases']:,} validation sessions"),
        ("Places for discoveries", f"a share of {shares}; what the others would give stands under Recall"),
        (
            "Ranker",
            f"{escape(str(chosen['ranker']))} with {chosen['blend']['weight']:g} of the order, chosen on validation",
        ),
    ]
    table = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows)
    return (
        f"<h1>Evaluation, as of {escape(content['as_of'])}</h1>"
        f"<p class=lead>The fused order {_verdict(lead, f'the best memory ({best})', 'recall@200')}. "
        f"Of reachable discoveries, it {_verdict(found, f'the best baseline ({discoverer})', 'recall@200')}. "
        f"The ranker's share {_verdict(served, 'the fused order', 'recall@30 of the slate')}.</p>"
        f"<table class=facts>{table}</table>"
    )


def _verdict(difference: Sequence[float | None] | None, other: str, metric: str) -> str:
    if not difference or any(value is None for value in difference):
        return f"could not be compared with {escape(other)}"
    value, low, high = (float(one) for one in difference if one is not None)
    word = "beats" if low > 0 else "loses to" if high < 0 else "cannot be told from"
    return f"<b>{word}</b> {escape(other)}: {metric} {value:+.4f} [{low:+.4f}, {high:+.4f}]"


def _slate_section(content: Content) -> str:
    plots = "".join(
        f"<h3>{title}</h3>"
        + charts.interval_chart(
            [Bar(name, one[metric]["all"], row_class(name)) for name, one in order_rows(content["slate"]).items()]
        )
        for metric, title in (("recall_at_30", "recall@30"), ("ndcg_at_10", "ndcg@10"))
    )
    table = choice_table(
        "Share of the head <code>listened</code> among the heads, each with its best share of the ranker, on validation",
        "share",
        content["chosen"].get("listened_table"),
        ("weight", "recall_at_30", "ndcg_at_10"),
    )
    table += choice_table("Ranker's share, on validation", "share", content["chosen"].get("blend_table"))
    table += choice_table("Most tracks of one artist, on validation", "at most", content["chosen"].get("cap_table"))
    table += choice_table(
        "Diversity, on validation (1 - similarity of two tracks of a list by their facets)",
        "strength",
        content["chosen"].get("diversity_table"),
        ("recall_at_30", "ndcg_at_10", "diversity"),
    )
    table += ranking.ranker_slate_table(content.get("slates_by_ranker", {}))
    spread = ", ".join(
        f"{escape(name)} {format_value(one)}" for name, one in content.get("diversity", {}).items() if one
    )
    table += f"<p>Diversity of what is shown: {spread}</p>" if spread else ""
    return (
        "<h2>Slate</h2><p>The whole request path: <b>served</b> is what a listener would get, <b>fused</b> the same without the ranker, "
        f"<b>ranker</b> the ranker's order alone; memories show their own first 30.</p>{plots}{table}"
    )


def _differences_section(content: Content) -> str:
    wanted = ("recall_at_50", "recall_at_200", REACHABLE, "recall_at_30", "ndcg_at_10", "gauc", "auc")
    parts = []
    for metric in wanted:
        bars = [
            Bar(pair, one[metric], "chosen" if is_significant(one[metric]) else "memory")
            for pair, one in content["differences"].items()
            if metric in one and (pair.partition(" - ")[2] in DISCOVERY_BASELINES) == (metric == REACHABLE)
        ]
        if bars:
            parts.append(f"<h3>{metric}</h3>{charts.interval_chart(bars, signed=True, digits=4)}")
    drawn = "sessions" if has_few_users(content) else "users"
    return (
        f"<h2>Differences</h2><p>Paired over {drawn}: the same draws for both sides. A coloured row is one whose interval leaves "
        "out zero.</p>" + "".join(parts)
    )


def _glossary_section(_: Content) -> str:
    words = {
        "repeat": "tracks that the user had played before the session",
        "discovery": "tracks that the user had not played before",
        "reachable": "discoveries that are in the catalogue, that is, that somebody had played before the test parts",
        "coverage": "share of the catalogue that is in at least one list of 200",
        "GAUC": "each user's own AUC, weighted by plays",
        "ECE": "mean distance between what was said and what came true, over 15 bins of probability",
        "own_artists_unheard": "popular tracks of the user's own artists that the user has not listened to",
        "item_knn": "tracks near what the user has listened to, by who listens to both",
        "ials": "matrix factorisation of who listens to what, by alternating least squares",
        "ease": "a linear model from track to track, in closed form",
        "with_heard": "with the tracks that the user has listened to; otherwise item_knn, ials and ease leave them out",
        "base_level_activation": "the user's tracks by the sum over past listens of (seconds ago)^-0.5",
    }
    return (
        "<h2>Words</h2><dl>"
        + "".join(f"<dt>{word}</dt><dd>{meaning}</dd>" for word, meaning in words.items())
        + "</dl>"
    )
