"""Cold start: recall@200 of tracks by their plays, with and without content, and with and without each kind of content.

Each channel with a content tower is fitted with several seeds in every cell and lists 200 tracks of the whole catalog for
every session of the test part. Values of a session are averaged over the seeds; intervals are over users, differences
paired. `artist popularity` lists the tracks of the most played artists. In a simulated world with hidden facets
(`python -m ingestion.simulate --hide-facets`), content is all that is known of a track besides its artist.

Legend: C sessions, K tracks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.content.track_content import BLOCKS
from training.data.training_data import TrainingData
from training.data.user_batch import load_user_batches
from training.engine.config_io import change_config
from training.engine.import_closure import code_hash
from training.engine.workspace import Workspace
from training.evaluation.metrics import recall_metrics, subset_recall
from training.evaluation.metrics.bootstrap import Estimate
from training.evaluation.metrics.subset_recall import SubsetRecall
from training.recall.multi_interest.channel import MultiInterest
from training.recall.realtime.channel import Realtime
from training.recall.registry import CHANNELS
from training.recipes import recipe

NAME = "cold_start"
CHANNEL_NAMES = (Realtime.name, MultiInterest.name)
SEEDS, K = 2, 200
WITH_CONTENT, WITHOUT_CONTENT, ARTIST_POPULARITY = "all content", "content off", "artist popularity"
WITHOUT_ARTISTS, WITHOUT_BOTH = "all content, artists off", "content and artists off"
MODALITIES = {
    "audio": ("catalog_audio", "audio"),
    "covers": ("catalog_image", "image"),
    "lyrics and comments": ("text_ngrams", "text"),
}
"""Blocks of each kind of content."""
CELLS: dict[str, dict[str, Any]] = {
    WITH_CONTENT: {},
    WITHOUT_CONTENT: {"items.content": "off"},
    **{f"without {name}": {"items.excluded_content": blocks} for name, blocks in MODALITIES.items()},
    **{
        f"{name} only": {"items.excluded_content": tuple(block for block in BLOCKS if block not in blocks)}
        for name, blocks in MODALITIES.items()
    },
    WITHOUT_ARTISTS: {"items.reads_artists": False},
    WITHOUT_BOTH: {"items.reads_artists": False, "items.content": "off"},
}
"""One kind of content may stand in for another, so each is also measured alone; so may the artist of a track."""

Estimates = dict[str, Estimate]


def report(workspace: Workspace, folder: Path) -> str:
    """Fit and measure all cells; return the tables as Markdown. Finished lists of `folder` are used again."""
    data = _load_data(workspace, reads_audio_facets=True)
    without_audio_facets = _load_data(workspace, reads_audio_facets=False)
    cases = data.recall_cases("test")
    recall = SubsetRecall(cases, subset_recall.play_subsets(data), K)
    by_artist_CK = np.tile(subset_recall.rank_by_artist_popularity(data, K), (len(cases), 1))
    lines = [
        f"# {NAME}",
        "",
        "How well are tracks with few plays or none found, and by which content?",
        "",
        f"`make ablation ABLATION={NAME}`, recipe `{workspace.recipe}`, test part, {SEEDS} seeds; recall@{K} with 95 % "
        "intervals over users.",
    ]
    for channel in CHANNEL_NAMES:
        table = {}
        for cell in CELLS:
            read = data if _reads_audio(cell) else without_audio_facets
            lists = [_list(read, workspace, folder, channel, cell, seed) for seed in range(SEEDS)]
            table[cell] = _estimate(recall, cases.user_C, lists)
        table[ARTIST_POPULARITY] = _estimate(recall, cases.user_C, [by_artist_CK])
        lines += ["", f"## {channel}", "", *_format_table(table, recall.count_targets())]
    return "\n".join([*lines, ""])


def _load_data(workspace: Workspace, *, reads_audio_facets: bool) -> TrainingData:
    folder, cache = workspace.marts, workspace.cache_folder("held_out")
    return TrainingData(
        folder, "held_out", recipe(workspace.recipe), cache_folder=cache, reads_audio_facets=reads_audio_facets
    )


def _reads_audio(cell: str) -> bool:
    """Whether a cell reads the sound of tracks, and so also the facets from it."""
    config = CELLS[cell]
    return config.get("items.content") != "off" and "audio" not in config.get("items.excluded_content", ())


def _list(
    data: TrainingData, workspace: Workspace, folder: Path, channel: str, cell: str, seed: int
) -> NDArray[np.int64]:
    """Lists [C, K] of a channel that is fitted with this seed."""
    kind = CHANNELS[channel]
    config: Any = change_config(kind.config(workspace.recipe), CELLS[cell] | {"seed": seed})
    inputs = workspace.inputs(code=code_hash(__name__), channel=channel, config=config)
    file = folder / f"{inputs['hash'][:16]}.npy"
    if file.exists():
        lists: NDArray[np.int64] = np.load(file, allow_pickle=False)
        return lists
    print(f"{NAME}: {channel}, {cell}, seed {seed}", flush=True)
    fitted = kind.fit(data, config, folder / f"{inputs['hash'][:16]}-fit")
    batches = load_user_batches(data, data.recall_cases("test"), kind.feature_service)
    lists = np.concatenate([fitted.recall(users, K).items_BK for users in batches])
    file.parent.mkdir(parents=True, exist_ok=True)
    writing = file.with_suffix(".writing.npy")
    np.save(writing, lists, allow_pickle=False)
    writing.replace(file)
    return lists


def _estimate(recall: SubsetRecall, user_C: NDArray[np.generic], lists: list[NDArray[np.int64]]) -> Estimates:
    """Mean over users of the mean over the lists, by subset."""
    values = [recall.measure_by_case(items_CK) for items_CK in lists]
    return {
        name: recall_metrics.mean_over_users(np.mean([one[name] for one in values], axis=0), user_C)
        for name in values[0]
    }


def _format_table(table: dict[str, Estimates], targets: dict[str, int]) -> list[str]:
    subsets = list(targets)
    lines = [
        f"| | {' | '.join(f'{name} ({targets[name]:,})' for name in subsets)} |",
        f"|---|{'---|' * len(subsets)}",
    ]
    lines += [_format_row(cell, [estimates[name] for name in subsets]) for cell, estimates in table.items()]
    differences = [(WITH_CONTENT, other) for other in table if other != WITH_CONTENT]
    differences += [(cell, WITHOUT_CONTENT) for cell in table if cell.endswith(" only")]
    if WITHOUT_BOTH in table:
        differences.append((WITHOUT_ARTISTS, WITHOUT_BOTH))
    lines += [
        _format_row(f"{one} - {other}", [table[one][name] - table[other][name] for name in subsets], "+")
        for one, other in differences
    ]
    return lines


def _format_row(name: str, estimates: list[Estimate], sign: str = "") -> str:
    cells = []
    for estimate in estimates:
        value, low, high = estimate.interval()
        cells.append(f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]")
    return f"| {name} | {' | '.join(cells)} |"
