"""Steps of paths between two tracks: the smooth path against a greedy and a random one.

Random pairs of tracks of the catalog are the ends of paths of LENGTH tracks among the same candidates, by the item
vectors of `realtime` as the held-out fit has them. Greedy: at each position the candidate nearest to that point of the
arc between the ends which was not taken before. Intervals are over pairs, differences paired.

Legend: C candidates, L tracks of a path, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.data.vocabulary import Vocabulary
from training.engine.workspace import MissingInput, Workspace
from training.evaluation.metrics import bootstrap
from training.index.sphere import angles, interpolate_on_sphere
from training.recall.realtime.channel import Realtime
from training.slate.smooth_path import UNKNOWN_ARTISTS, find_smooth_path, step_angles

NAME = "smooth_path"
PAIRS, LENGTH, ITEMS_PER_POINT = 300, 10, 64
SMOOTH = "smooth"
METRICS = ("largest step", "mean step", "neighbors by one artist")

FindPath = Callable[[NDArray[np.float32], NDArray[np.int64]], list[int]]
"""Vectors [C, D] and artists [C] of the candidates, ends first and last → positions of a path."""


def greedy_path(vector_CD: NDArray[np.float32], artist_C: NDArray[np.int64]) -> list[int]:
    """The nearest candidate to each point of the arc that was not taken before."""
    del artist_C
    last = len(vector_CD) - 1
    path = [0]
    for point_D in interpolate_on_sphere(vector_CD[0], vector_CD[-1], min(LENGTH, len(vector_CD)))[1:-1]:
        order = np.argsort(angles(point_D[None], vector_CD)[0], kind="stable")
        path.append(next(int(place) for place in order if place != last and place not in path))
    return [*path, last]


def report(workspace: Workspace, folder: Path) -> str:
    """Measure the paths; return the table as Markdown.

    Raises:
        MissingInput: The channel `realtime` was not fitted.
    """
    del folder  # takes seconds, nothing is kept
    if not workspace.list_fitted("channel", "held_out", [Realtime.name]):
        raise MissingInput(
            f"no fitted channel in {workspace.channel_folder('held_out', Realtime.name)}; run `python -m training.train channel "
            f"{Realtime.name} --fit held_out` first"
        )
    vocabulary = Vocabulary.load(workspace.vocabulary_folder("held_out"))
    channel = Realtime.load(workspace.channel_folder("held_out", Realtime.name), vocabulary)
    generator = np.random.default_rng(0)

    def random_path(vector_CD: NDArray[np.float32], artist_C: NDArray[np.int64]) -> list[int]:
        del vector_CD
        inner = generator.choice(np.arange(1, len(artist_C) - 1), min(LENGTH, len(artist_C)) - 2, replace=False)
        return [0, *inner.tolist(), len(artist_C) - 1]

    ways: dict[str, FindPath] = {
        SMOOTH: lambda vector_CD, artist_C: find_smooth_path(vector_CD, artist_C, LENGTH),
        "greedy": greedy_path,
        "random": random_path,
    }
    values: dict[str, list[list[float]]] = {name: [] for name in ways}
    for _ in range(PAIRS):
        first, last = (int(item) for item in generator.choice(channel.catalog, 2, replace=False))
        between = channel.items_between(first, last, LENGTH - 2, ITEMS_PER_POINT)
        artist_C = vocabulary.artist_of_track_V[between.items_BK[0]]
        for name, find in ways.items():
            path = find(between.vector_ND, artist_C)
            step, artist_L = step_angles(between.vector_ND[path]), artist_C[path]
            is_same = (artist_L[1:] == artist_L[:-1]) & (artist_L[1:] >= UNKNOWN_ARTISTS)
            values[name].append([float(step.max()), float(step.mean()), float(is_same.mean())])
    estimates = {name: [bootstrap.mean(column) for column in np.array(rows).T] for name, rows in values.items()}
    lines = [
        f"# {NAME}",
        "",
        "How large are the steps of paths between two tracks?",
        "",
        f"`make ablation ABLATION={NAME}`, recipe `{workspace.recipe}`; {PAIRS} pairs, paths of {LENGTH} tracks; steps in "
        "radians, with 95 % intervals over pairs.",
        "",
        f"| path | {' | '.join(METRICS)} |",
        "|---|---|---|---|",
    ]
    for name, row in estimates.items():
        lines.append(f"| {name} | {' | '.join(_format(one.interval()) for one in row)} |")
    for name, row in estimates.items():
        if name != SMOOTH:
            difference = (ours - other for ours, other in zip(estimates[SMOOTH], row, strict=True))
            lines.append(f"| {SMOOTH} - {name} | {' | '.join(_format(one.interval(), '+') for one in difference)} |")
    return "\n".join([*lines, ""])


def _format(interval: list[float], sign: str = "") -> str:
    value, low, high = interval
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
