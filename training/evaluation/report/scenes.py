"""Of the evaluation's page what is about scenes: what their own fusion finds, and playlists and mlogs."""

from __future__ import annotations

from html import escape

from training.evaluation.report.cells import Content, interval_cell


def scenes_section(content: Content) -> str:
    """What a scene's own fusion finds more."""
    chosen, by_scene = content["chosen"], content["by_scene"]
    fusion, cases = chosen["fusion"], chosen["scene_cases"]
    if not by_scene:
        return "<h2>By scene</h2><p>The log names no scenes: one fusion serves all of them.</p>"
    metrics = list(next(iter(by_scene.values()))["found"])
    rows = "".join(
        f"<tr><th>{escape(scene)}</th><td>{cases.get(scene, 0):,}</td><td>{fusion['shares'].get(scene, fusion['shares'][''])}</td>"
        f"<td>{_format_weights(fusion['scenes'][scene]) if scene in fusion['scenes'] else 'those of all scenes'}</td>"
        + f"<td>{one['sessions']:,}</td>"
        + "".join(
            f"<td>{interval_cell(one['found'][name])}</td><td>{interval_cell(one['difference'][name], 4)}</td>"
            for name in metrics
        )
        + "</tr>"
        for scene, one in by_scene.items()
    )
    header = "".join(f"<th>{name.replace('_at_', '@')}</th><th>− one fusion for all</th>" for name in metrics)
    return (
        "<h2>By scene</h2><p>Of the fused list, on test: what it finds with the scene's own weights and share, and what that is more "
        "than with those of all scenes. A scene has its own where validation has enough sessions of it and they find more for "
        "users they were not learned from.</p>"
        "<table><tr><th></th><th>validation sessions</th><th>share of discoveries</th><th>weights</th>"
        f"<th>test sessions</th>{header}</tr>{rows}</table>"
    )


def _format_weights(weights: Content) -> str:
    return "; ".join(
        f"{kind}: "
        + ", ".join(f"{escape(name)} {weight:g}" for name, weight in weights[kind]["weights"].items() if weight)
        for kind in ("repeats", "discoveries")
    )


def collections_section(content: Content) -> str:
    """What was opened next, of playlists and mlogs."""
    words = (
        "<h2>Playlists and mlogs</h2><p>Of what a user opened next, by a click or by playing from it, how much was among the first: "
        "<b>most_opened</b> is what is opened most in the train part, <b>last_opened</b> the user's own, newest first, then that.</p>"
    )
    measured = {name: one for name, one in content["containers"].items() if one["recall"]}
    if not measured:
        return words + "<p>The log says nothing of playlists or mlogs that were opened in the test part.</p>"
    return words + "".join(_collection_table(name, one) for name, one in measured.items())


def _collection_table(kind: str, one: Content) -> str:
    first = next(iter(one["recall"].values()))
    columns = [(metric, part) for metric, parts in first.items() for part in parts]
    rows = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(f"<td>{interval_cell(metrics[metric][part])}</td>" for metric, part in columns)
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
        f"{chosen or 'nothing'}</h3><table><tr><th></th>{header}</tr>{rows}</table>"
    )
