"""The evaluation as a page for a person: one HTML file, nothing loaded from anywhere.

Reads the evaluation's JSON only, so the page can be made again from it. Knows nothing about how figures are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from training.evaluation import charts
from training.evaluation.baselines import BASELINES
from training.evaluation.charts import Bar
from training.evaluation.memories import MEMORIES
from training.evaluation.style import STYLE

BESIDE = (*BASELINES, *MEMORIES)
# Over all targets, differences to these are large, certain and in the JSON; drawn, they would flatten all others.
DISCOVERERS = ("own_artists_unheard", "popularity", *BASELINES)
REACHABLE = "recall_at_200/reachable"
PARTS = ("all", "repeat", "discovery", "reachable")
SPLITS = {
    "user_time": "each user's own time: the first 80 % of the plays train, the next 10 % validate, the last 10 % test. "
    "Parameters may come from other users' later dates; every feature is as it was known before its request",
    "global_time": "one clock for all: 80 % of the plays train, the next 10 % validate, the last 10 % test",
}

Content = dict[str, Any]


def page(content: Content) -> str:
    """The whole page."""
    sections = (
        _summary,
        _recall,
        _slate,
        _ranking,
        _heads,
        _slices,
        _differences,
        _history,
        _facets,
        _scenes,
        _containers,
        _channels,
        _exposure,
        _calibration,
        _words,
    )
    body = "".join(section(content) for section in sections)
    title = f"Segue evaluation, {escape(content['as_of'])}"
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body><main>{body}</main></body></html>\n'


def _summary(content: Content) -> str:
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
    rows = [
        ("Split", escape(str(SPLITS.get(content["split"], content["split"])))),
        (
            "Test",
            f"{cases['test_sessions']:,} sessions of {cases['test_users']:,} users, {cases['test_ranking_cases']:,} ranking cases",
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


def _recall(content: Content) -> str:
    table = _ordered(content["recall"])
    header = "".join(f"<th colspan=2>{part}</th>" for part in PARTS)
    units = "<th>@50</th><th>@200</th>" * len(PARTS)
    rows = "".join(
        f"<tr class={_kind(name)}><th>{escape(name)}</th>"
        + "".join(
            f"<td>{_cell(one[metric][part])}</td>" for part in PARTS for metric in ("recall_at_50", "recall_at_200")
        )
        + f"<td>{_cell(one['ndcg_at_10']['all'])}</td><td>{one['coverage']:.1%}</td></tr>"
        for name, one in table.items()
    )
    plots = "".join(
        f"<h3>{title}</h3>{charts.intervals([Bar(name, one[metric][part], _kind(name)) for name, one in table.items()])}"
        for metric, part, title in (
            ("recall_at_200", "all", "recall@200, all targets"),
            ("recall_at_200", "reachable", "recall@200, reachable discoveries"),
        )
    )
    return (
        "<h2>Recall</h2><p>Of what a session's listener played for 30 seconds or more, how much was among the first candidates? "
        "Averaged over a user's sessions, then over users; intervals by drawing users 1,000 times.</p>"
        f"{plots}<div class=wide><table><thead><tr><th rowspan=2></th>{header}<th>ndcg@10</th><th rowspan=2>coverage</th></tr>"
        f"<tr>{units}<th>all</th></tr></thead><tbody>{rows}</tbody></table></div>"
        + _choices(
            "Share of places for discoveries, on validation",
            "share",
            content["chosen"].get("share_table"),
            ("recall_at_50/all", "recall_at_200/all", "recall_at_200/repeat", REACHABLE),
        )
        + _baselines(content["chosen"]["baselines"])
    )


def _baselines(tuned: Content) -> str:
    """What each baseline was chosen from."""
    return "".join(
        _choices(
            f"{escape(name)}: {escape(one['chosen'])}, the best {one['by'].replace('_at_', '@')} on {one['cases']:,} validation sessions",
            "parameters",
            one["table"],
            ("recall_at_50/reachable", REACHABLE, "recall_at_50/all/with_heard", "recall_at_200/all/with_heard"),
        )
        for name, one in tuned.items()
    )


def _slate(content: Content) -> str:
    plots = "".join(
        f"<h3>{title}</h3>"
        + charts.intervals(
            [Bar(name, one[metric]["all"], _kind(name)) for name, one in _ordered(content["slate"]).items()]
        )
        for metric, title in (("recall_at_30", "recall@30"), ("ndcg_at_10", "ndcg@10"))
    )
    table = _choices("Ranker's share, on validation", "share", content["chosen"].get("blend_table"))
    table += _choices("Most tracks of one artist, on validation", "at most", content["chosen"].get("cap_table"))
    table += _choices(
        "Diversity, on validation (1 - similarity of two tracks of a list by their facets)",
        "strength",
        content["chosen"].get("diversity_table"),
        ("recall_at_30", "ndcg_at_10", "diversity"),
    )
    spread = ", ".join(f"{escape(name)} {_figure(one)}" for name, one in content.get("diversity", {}).items() if one)
    table += f"<p>Diversity of what is shown: {spread}</p>" if spread else ""
    return (
        "<h2>Slate</h2><p>The whole request path: <b>served</b> is what a listener would get, <b>fused</b> the same without the ranker, "
        f"<b>ranker</b> the ranker's order alone; memories show their own first 30.</p>{plots}{table}"
    )


def _choices(
    title: str,
    of: str,
    table: dict[str, dict[str, float | None]] | None,
    metrics: tuple[str, ...] = ("recall_at_30", "ndcg_at_10"),
) -> str:
    """What each value that could have been chosen gives; nothing without a table."""
    rows = "".join(
        f"<tr><td>{value}</td>" + "".join(f"<td>{_figure(one[metric])}</td>" for metric in metrics) + "</tr>"
        for value, one in (table or {}).items()
    )
    header = f"<tr><th>{of}</th>" + "".join(f"<th>{name.replace('_at_', '@')}</th>" for name in metrics) + "</tr>"
    return f"<h3>{title}</h3><table>{header}{rows}</table>" if rows else ""


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _ranking(content: Content) -> str:
    tasks = dict.fromkeys(task for one in content["ranking"].values() for task in one)
    if not tasks:
        return "<h2>Ranking</h2><p class=note>No ranker was trained.</p>"
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(task)}</td>"
        + "".join(f"<td>{_cell(one[task][metric], 4)}</td>" for metric in ("auc", "gauc", "logloss", "ece"))
        + "</tr>"
        for task in tasks
        for name, one in content["ranking"].items()
        if task in one
    )
    first = "not_skipped" if "not_skipped" in tasks else next(iter(tasks))
    bars = [
        Bar(name, one[first]["gauc"], "chosen" if name == content["chosen"]["ranker"] else "channel")
        for name, one in content["ranking"].items()
    ]
    return (
        f"<h2>Ranking</h2><h3>GAUC, {escape(first)}: the climb (the axis does not begin at zero)</h3>"
        f"{charts.intervals(bars, from_zero=False, digits=4)}"
        "<table><thead><tr><th></th><th>task</th><th>AUC</th><th>GAUC</th><th>log loss</th><th>ECE</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _heads(content: Content) -> str:
    """How the heads became one score, scene by scene on validation, and what that did on test."""
    table = content["chosen"].get("heads_table") or {}
    if not table:
        return ""
    tasks = dict.fromkeys(task for one in table.values() for task in one["wants"])
    rows = "".join(
        f"<tr><th>{escape(scene or 'all scenes')}</th><td>{one['cases']:,}</td><td>{_shares_of(one['wants'])}</td>"
        f"<td>{escape(name)}</td><td>{_shares_of(one['weights']) if name == 'combined' else ''}</td>"
        + "".join(f"<td>{_figure(values.get(task))}</td>" for task in tasks)
        + "</tr>"
        for scene, one in table.items()
        for name, values in one["gauc"].items()
    )
    bars = [
        Bar(f"{task}: combined − own head", one["difference"], "chosen" if _is_certain(one["difference"]) else "memory")
        for task, one in content["heads"].items()
    ]
    return (
        "<h2>Heads in one score</h2><p>score = σ(Σ w · logit P): a product of powers of the heads' odds. The weights are those "
        "whose score orders the validation cases best for the scene: the GAUC of each label, weighed by what the scene wants. "
        "A scene with too few cases takes the weights of all scenes.</p>"
        "<div class=wide><table><tr><th>scene</th><th>cases</th><th>wants</th><th>score</th><th>weights</th>"
        + "".join(f"<th>GAUC of {escape(task)}</th>" for task in tasks)
        + f"</tr>{rows}</table></div><h3>GAUC on test, paired over users</h3>{charts.intervals(bars, signed=True, digits=4)}"
    )


def _shares_of(weights: dict[str, float]) -> str:
    return escape(", ".join(f"{task} {weight:g}" for task, weight in weights.items()))


def _slices(content: Content) -> str:
    """The first task by slice: figures of every ranker, and how far the last rung is above the others."""
    table = content["ranking_slices"]
    if not table:
        return ""
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{one['cases']:,}</td><td>{one['users']:,}</td><td>{escape(ranker)}</td>"
        + "".join(f"<td>{_cell(figures[metric], 4)}</td>" for metric in ("auc", "gauc", "logloss", "ece"))
        + "</tr>"
        for name, one in table.items()
        for ranker, figures in one["rankers"].items()
    )
    pairs = dict.fromkeys(pair for one in table.values() for pair in one["differences"])
    plots = "".join(
        f"<h3>GAUC, {escape(pair)}</h3>"
        + charts.intervals(
            [
                Bar(name, difference, "chosen" if _is_certain(difference) else "memory")
                for name, one in table.items()
                if (difference := one["differences"][pair]["gauc"])
            ],
            signed=True,
            digits=4,
        )
        for pair in pairs
    )
    return (
        "<h2>Ranking by slice</h2><p><code>not_skipped</code>, by how much a user had played before, by their share of skips in "
        "the train part, and by whether they had played the track. Differences are paired over users.</p>"
        f"{plots}<div class=wide><table><tr><th></th><th>cases</th><th>users</th><th></th><th>AUC</th><th>GAUC</th>"
        f"<th>log loss</th><th>ECE</th></tr>{rows}</table></div>"
    )


def _differences(content: Content) -> str:
    wanted = ("recall_at_50", "recall_at_200", REACHABLE, "recall_at_30", "ndcg_at_10", "gauc", "auc")
    parts = []
    for metric in wanted:
        bars = [
            Bar(pair, one[metric], "chosen" if _is_certain(one[metric]) else "memory")
            for pair, one in content["differences"].items()
            if metric in one and (pair.partition(" - ")[2] in DISCOVERERS) == (metric == REACHABLE)
        ]
        if bars:
            parts.append(f"<h3>{metric}</h3>{charts.intervals(bars, signed=True, digits=4)}")
    return (
        "<h2>Differences</h2><p>Paired over users: the same draws for both sides. A coloured row is one whose interval leaves out zero.</p>"
        + "".join(parts)
    )


def _history(content: Content) -> str:
    words = "<h2>By length of history</h2><p>recall@50 by how many plays a user had before the session.</p>"
    return words + _by(content["by_history"])


def _facets(content: Content) -> str:
    by_facet = content["by_facet"]
    if not any(by_facet.values()):
        return "<h2>By facet</h2><p>No target of the test sessions has a language, a style or another facet.</p>"
    return "<h2>By facet</h2><p>recall@50 of the targets that have a value, for the commonest values.</p>" + _by(
        by_facet
    )


def _scenes(content: Content) -> str:
    chosen, by_scene = content["chosen"], content["by_scene"]
    fusion, cases = chosen["fusion"], chosen["scene_cases"]
    if not by_scene:
        return "<h2>By scene</h2><p>The log names no scenes: one fusion serves all of them.</p>"
    metrics = list(next(iter(by_scene.values()))["found"])
    rows = "".join(
        f"<tr><th>{escape(scene)}</th><td>{cases.get(scene, 0):,}</td><td>{fusion['shares'].get(scene, fusion['shares'][''])}</td>"
        f"<td>{_weights(fusion['scenes'][scene]) if scene in fusion['scenes'] else 'those of all scenes'}</td>"
        + f"<td>{one['sessions']:,}</td>"
        + "".join(
            f"<td>{_cell(one['found'][name])}</td><td>{_cell(one['difference'][name], 4)}</td>" for name in metrics
        )
        + "</tr>"
        for scene, one in by_scene.items()
    )
    header = "".join(f"<th>{name.replace('_at_', '@')}</th><th>− one fusion for all</th>" for name in metrics)
    return (
        "<h2>By scene</h2><p>Of the fused list, on test: what it finds with the scene's own weights and share, and what that is more "
        "than with those of all scenes. A scene has its own where validation has enough sessions of it and they find more for "
        "users they were not learned from.</p>"
        "<div class=wide><table><tr><th></th><th>validation sessions</th><th>share of discoveries</th><th>weights</th>"
        f"<th>test sessions</th>{header}</tr>{rows}</table></div>"
    )


def _containers(content: Content) -> str:
    words = (
        "<h2>Playlists and mlogs</h2><p>Of what a user opened next, by a click or by playing from it, how much was among the first: "
        "<b>most_opened</b> is what is opened most in the train part, <b>last_opened</b> the user's own, newest first, then that.</p>"
    )
    measured = {name: one for name, one in content["containers"].items() if one["recall"]}
    if not measured:
        return words + "<p>The log says nothing of playlists or mlogs that were opened in the test part.</p>"
    return words + "".join(_container(name, one) for name, one in measured.items())


def _container(kind: str, one: Content) -> str:
    first = next(iter(one["recall"].values()))
    columns = [(metric, part) for metric, parts in first.items() for part in parts]
    rows = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(f"<td>{_cell(metrics[metric][part])}</td>" for metric, part in columns)
        + "</tr>"
        for table, prefix in ((one["recall"], ""), (one["difference"], f"{kind} − "))
        for name, metrics in ((f"{prefix}{name}", metrics) for name, metrics in table.items())
    )
    header = "".join(f"<th>{metric.replace('_at_', '@')} {part}</th>" for metric, part in columns)
    chosen = ", ".join(
        f"{name.replace('_', ' ')} {value:g}" for name, value in one["chosen"].items() if value is not None
    )
    return (
        f"<h3>{escape(kind)}: {one['containers']:,}, {one['openings']:,} openings of {one['users']:,} users; on validation chosen: "
        f"{chosen or 'nothing'}</h3><div class=wide><table><tr><th></th>{header}</tr>{rows}</table></div>"
    )


def _weights(weights: Content) -> str:
    return "; ".join(
        f"{kind}: "
        + ", ".join(f"{escape(name)} {weight:g}" for name, weight in weights[kind]["weights"].items() if weight)
        for kind in ("repeats", "discoveries")
    )


def _by(content: Content) -> str:
    """A row a list, a column a group."""
    table = _ordered(content)
    groups = list(dict.fromkeys(group for one in table.values() for group in one))
    header = "".join(f"<th>{escape(group)}</th>" for group in groups)
    rows = "".join(
        f"<tr class={_kind(name)}><th>{escape(name)}</th>"
        + "".join(f"<td>{_cell(one.get(group))}</td>" for group in groups)
        + "</tr>"
        for name, one in table.items()
    )
    return f"<div class=wide><table><tr><th></th>{header}</tr>{rows}</table></div>"


def _channels(content: Content) -> str:
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


def _exposure(content: Content) -> str:
    exposure = content["exposure"]
    catalogue = exposure["catalogue"]
    rows = "".join(
        f"<tr class={_kind(name)}><th>{escape(name)}</th>"
        + "".join(_shares(exposure[kind].get(name)) for kind in ("recall", "slate"))
        + "</tr>"
        for name in _ordered(exposure["recall"] | exposure["slate"])
    )
    header = "<th>new tracks</th><th>by new artists</th>" * 2
    return (
        "<h2>Newcomers</h2><p>How much of the candidates is tracks that nobody had played in the train parts, and how much is by "
        f"artists of whom nobody had played anything. Of the catalogue it is {catalogue['new_tracks']:.1%} and "
        f"{catalogue['by_new_artists']:.1%}.</p>"
        "<table><thead><tr><th rowspan=2></th><th colspan=2>of 200 candidates</th><th colspan=2>of the slate</th></tr>"
        f"<tr>{header}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _shares(shares: dict[str, float] | None) -> str:
    return "<td></td><td></td>" if shares is None else "".join(f"<td>{share:.2%}</td>" for share in shares.values())


def _calibration(content: Content) -> str:
    tasks = dict.fromkeys(task for one in content["calibration"].values() for task in one)
    plots = "".join(
        f"<figure><figcaption>{escape(task)}</figcaption>"
        + charts.calibration({name: one[task] for name, one in content["calibration"].items() if task in one})
        + "</figure>"
        for task in tasks
    )
    return (
        f"<h2>Calibration</h2><p>On the diagonal, a probability is what it says.</p><div class=figures>{plots}</div>"
        if plots
        else ""
    )


def _words(_: Content) -> str:
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


def _ordered(table: Content) -> Content:
    """What is served first, then the channels, then baselines and memories in their own order."""
    first = ["served", "fused", "ranker"]
    others = [name for name in table if name not in first and name not in BESIDE]
    return {name: table[name] for name in (*first, *others, *BESIDE) if name in table}


def _kind(name: str) -> str:
    return "chosen" if name in ("fused", "served") else "memory" if name in BESIDE else "channel"


def _cell(interval: Iterable[float | None] | None, digits: int = 3) -> str:
    values = [value for value in interval or () if value is not None]
    if len(values) < 3:
        return "–"
    return f"{values[0]:.{digits}f}<small>{values[1]:.{digits}f}–{values[2]:.{digits}f}</small>"


def _is_certain(interval: Sequence[float | None]) -> bool:
    return interval[1] is not None and interval[2] is not None and (interval[1] > 0 or interval[2] < 0)
