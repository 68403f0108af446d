"""The channels of a fit, and their candidates for past requests, read as serving would have read them.

Used by evaluation for held-out sessions and by the listwise head for its training sessions. Legend: C cases, K
candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from recommender.array_types import Ints
from recommender.catalog.arrays import Ragged, concatenate_ragged, unique_values
from recommender.recall.channel import REPEAT_CHANNELS, RecallChannel
from recommender.recall.registry import CHANNELS
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.scene_settings import CANDIDATES_PER_CHANNEL
from recommender.user.user_batch import USER_HISTORY_VIEWS, unique_history_items
from sequences.sequence_batch import drop_reversed
from training.data.offline_features import OfflineFeatures
from training.data.plays import PARTS
from training.data.recall_cases import RecallCases, row_chunks
from training.data.training_data import TrainingData, archive_plays
from training.process import parallel_map
from training.workspace import Workspace

Key = TypeVar("Key")


def load_fitted_channels(workspace: Workspace, fit: str, data: TrainingData) -> dict[str, RecallChannel]:
    """The channels of a fit on the present marts, with the past plays of `data`."""
    fitted = workspace.list_fitted("channel", fit)
    channels: dict[str, RecallChannel] = {
        name: CHANNELS[name].load(workspace.model_folder("channel", fit, name), data.vocabulary) for name in fitted
    }
    plays = archive_plays(data, PARTS)
    for channel in channels.values():
        channel.store_past_plays(plays)
    return channels


def recall_candidates(
    channels: Mapping[str, RecallChannel], offline: OfflineFeatures, cases: RecallCases, description: str
) -> tuple[dict[str, Ints], Ragged]:
    """CANDIDATES_PER_CHANNEL candidates of every channel for every case, and the items that its user had played before it.

    `description` labels the progress bar.
    """
    for channel in channels.values():
        offline.preload(channel.feature_service)
    for view in USER_HISTORY_VIEWS:
        offline.data.reader(view)

    def recall_batch(batch: RecallCases) -> tuple[dict[str, Ints], Ragged]:
        requests = batch.user_ids.tolist(), batch.request_at_C, case_scenes(batch)
        found = {
            name: channel.recall(offline.load_user_batch(channel.feature_service, *requests), CANDIDATES_PER_CHANNEL)
            for name, channel in channels.items()
        }
        return found, _add_repeats(load_case_history(offline.data, batch), found)

    parts = list(parallel_map(recall_batch, cases.chunks(), f"recall {description}"))
    nothing = np.zeros((0, CANDIDATES_PER_CHANNEL), dtype=np.int64)
    candidates = {name: np.concatenate([nothing, *(found[name] for found, _ in parts)]) for name in channels}
    return candidates, concatenate_ragged([history for _, history in parts])


def fuse_candidates(
    candidates: Mapping[str, Ints],
    history: Ragged,
    cases: RecallCases,
    fuse: Callable[[CandidateTable, list[str]], Mapping[Key, Ints]],
) -> dict[Key, Ints]:
    """Lists [C, K] by key that `fuse` makes of merged candidates and the scenes of their requests.

    It is called for some requests at a time: the candidates of all cases together do not fit the caches of a processor.
    """
    scenes = case_scenes(cases)

    def fuse_rows(rows: Ints) -> Mapping[Key, Ints]:
        found = {name: items_CK[rows] for name, items_CK in candidates.items()}
        return fuse(CandidateTable.merge(found, history.take(rows)), [scenes[row] for row in rows.tolist()])

    no_rows = np.zeros(0, dtype=np.int64)
    parts = list(parallel_map(fuse_rows, row_chunks(len(cases)) or [no_rows], "fuse"))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def load_case_history(data: TrainingData, cases: RecallCases) -> Ragged:
    """Items in the history of each case's user, from the views that the request reads."""
    users = cases.user_ids.tolist()
    views = {view: drop_reversed(data.reader(view).read(users, cases.request_at_C)) for view in USER_HISTORY_VIEWS}
    return unique_history_items(data.profile_exclusions.leave_out(views, users))


def _add_repeats(history: Ragged, candidates: Mapping[str, Ints]) -> Ragged:
    """Items in the user's history of each request, with those that REPEAT_CHANNELS propose.

    A history view has a maximum length, and these channels know older plays.
    """
    lists = [candidates[name] for name in REPEAT_CHANNELS if name in candidates]
    size = np.int64(max([history.items.max(initial=0), *(items_BK.max(initial=0) for items_BK in lists)]) + 1)
    keys = [history.case_per_item * size + history.items]
    for items_BK in lists:
        row, column = np.nonzero(items_BK)
        keys.append(row * size + items_BK[row, column])
    row, item = np.divmod(unique_values(np.concatenate(keys)), size)
    return Ragged.of(item, row, len(history.offset_C1) - 1)


def case_scenes(cases: RecallCases) -> list[str]:
    """The scene of each case, "" if the log has none."""
    return [scene or "" for scene in cases.scenes.tolist()]
