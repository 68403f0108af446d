"""Of the evaluation's page what is about rankers: figures, heads in one score, slices, calibration."""

from __future__ import annotations

from html import escape

from training.evaluation.report import charts
from training.evaluation.report.cells import Content, format_value, interval_cell, is_significant
from training.evaluation.report.charts import Bar


def ranking_section(content: Content) -> str:
    """Every ranker and task."""
    tasks = dict.fromkeys(task for one in content["ranking"].values() for task in one)
    if not tasks:
        return "<h2>Ranking</h2><p class=note>No ranker was trained.</p>"
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(task)}</td>"
        + "".join(f"<td>{interval_cell(one[task][metric], 4)}</td>" for metric in ("auc", "gauc", "logloss", "ece"))
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
    alone = "<p>Of one user there are no intervals.</p>" if content["cases"]["test_users"] == 1 else ""
    return (
        f"<h2>Ranking</h2>{alone}<h3>GAUC, {escape(first)}: the climb (the axis does not begin at zero)</h3>"
        f"{charts.interval_chart(bars, from_zero=False, digits=4)}"
        "<table><thead><tr><th></th><th>task</th><th>AUC</th><th>GAUC</th><th>log loss</th><th>ECE</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def heads_section(content: Content) -> str:
    """How the heads became one score, scene by scene on validation, and what that did on test."""
    table = content["chosen"].get("heads_table") or {}
    if not table:
        return ""
    tasks = dict.fromkeys(task for one in table.values() for task in one["wants"])
    rows = "".join(_scene_rows(scene or "all scenes", one, list(tasks)) for scene, one in table.items())
    bars = [
        Bar(
            f"{task}: combined − own head",
            one["difference"],
            "chosen" if is_significant(one["difference"]) else "memory",
        )
        for task, one in content["heads"].items()
    ]
    return (
        "<h2>Heads in one score</h2><p>score = σ(Σ w · logit P): a product of powers of the heads' odds. The weights are those "
        "whose score orders the validation cases best for the scene: the GAUC of each label, weighed by what the scene wants. "
        "A scene with too few cases takes the weights of all scenes.</p>"
        "<table><tr><th>scene</th><th>cases</th><th class=words>wants</th><th class=words>score</th>"
        + "".join(f"<th>GAUC of {escape(task)}</th>" for task in tasks)
        + f"</tr>{rows}</table><h3>GAUC on test, paired over users</h3>{charts.interval_chart(bars, signed=True, digits=4)}"
    )


def _scene_rows(scene: str, one: Content, tasks: list[str]) -> str:
    """A row a score of the scene; what is true of all of them stands once."""
    span = len(one["gauc"])
    of_all = (
        f"<th rowspan={span}>{escape(scene)}</th><td rowspan={span}>{one['cases']:,}</td>"
        f"<td rowspan={span} class=words>{_format_weights(one['wants'])}</td>"
    )
    rows = (
        f"<td class=words>{escape(name)}{': ' + _format_weights(one['weights']) if name == 'combined' else ''}</td>"
        + "".join(f"<td>{format_value(values.get(task))}</td>" for task in tasks)
        for name, values in one["gauc"].items()
    )
    return f"<tr>{of_all}{'</tr><tr>'.join(rows)}</tr>"


def _format_weights(weights: dict[str, float]) -> str:
    return escape(", ".join(f"{task} {weight:g}" for task, weight in weights.items()))


def slices_section(content: Content) -> str:
    """The first task by slice: figures of every ranker, and how far the last rung is above the others."""
    table = content["ranking_slices"]
    if not table:
        return ""
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{one['cases']:,}</td><td>{one['users']:,}</td><td>{escape(ranker)}</td>"
        + "".join(f"<td>{interval_cell(figures[metric], 4)}</td>" for metric in ("auc", "gauc", "logloss", "ece"))
        + "</tr>"
        for name, one in table.items()
        for ranker, figures in one["rankers"].items()
    )
    pairs = dict.fromkeys(pair for one in table.values() for pair in one["differences"])
    plots = "".join(
        f"<h3>GAUC, {escape(pair)}</h3>"
        + charts.interval_chart(
            [
                Bar(name, difference, "chosen" if is_significant(difference) else "memory")
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
        f"{plots}<table><tr><th></th><th>cases</th><th>users</th><th></th><th>AUC</th><th>GAUC</th>"
        f"<th>log loss</th><th>ECE</th></tr>{rows}</table>"
    )


def calibration_section(content: Content) -> str:
    """What was said beside what came true."""
    tasks = dict.fromkeys(task for one in content["calibration"].values() for task in one)
    plots = "".join(
        f"<figure><figcaption>{escape(task)}</figcaption>"
        + charts.calibration_chart({name: one[task] for name, one in content["calibration"].items() if task in one})
        + "</figure>"
        for task in tasks
    )
    return (
        f"<h2>Calibration</h2><p>On the diagonal, a probability is what it says.</p><div class=figures>{plots}</div>"
        if plots
        else ""
    )


def ranker_slate_table(content: Content) -> str:
    """What each ranker's order would make of the slate."""
    if not content.get("rankers"):
        return ""
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(order)}</td>"
        + "".join(
            f"<td>{interval_cell(one['value'], 4)}</td><td>{interval_cell(one['difference'], 4)}</td>"
            for one in metrics.values()
        )
        + "</tr>"
        for name, orders in content["rankers"].items()
        for order, metrics in orders.items()
    )
    return (
        f"<h3>Each ranker's order of the same slates ({content['requests']:,} requests; differences to the fused order)</h3>"
        "<table><tr><th></th><th>order</th><th>recall@30</th><th>− fused</th><th>ndcg@10</th><th>− fused</th></tr>"
        f"{rows}</table>"
    )
