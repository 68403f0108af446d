"""Weights of playlist continuation, fitted on validation playlists.

A playlist is a validation playlist by the hash of its id. Its tracks are left out of everything that reads the contents of
playlists: item-kNN, titles and the edges of the knowledge graph. Plays from it in the train part remain in the channels
that learn from plays.

Without enough playlists, weights are fitted on sessions of the validation part as if they were playlists: the tracks that a
user listened to, of which the first are the seeds.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from content.encoders.text import encode_texts
from recommender.array_types import Ints
from recommender.catalog.arrays import Ragged
from recommender.catalog.catalog import Catalog
from recommender.catalog.collections import Collections
from recommender.recall.channel import RecallChannel
from recommender.recall.collection_recall import Playlists
from recommender.recall.continuation.registry import TitleData, all_sources, channel_sources
from recommender.recall.continuation.source import ContinuationSource
from recommender.recall.continuation.titles import MAX_PLAYLIST_TITLES, TextVectors, title_lists
from recommender.recall.knowledge_graph.channel import KnowledgeGraphWalks
from recommender.search.query_parser import QueryParser
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.continuation_weights import CUTOFFS, Continuation, _no_history, range_key
from recommender.slate.fusion import ReciprocalRank
from sequences.sequence_batch import FIRST_CODE
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData
from training.evaluation.held_out_models import HeldOutModels
from training.evaluation.reciprocal_rank_tuning import fit_weights

PARTS = {"test": (0,), "validation": (1,), "train": (2, 3, 4)}
"""Part → hashes of the ids of its playlists, modulo 5."""
TUNED_SEEDS: Mapping[int, tuple[int, ...]] = {0: (0,), 1: (1,), 2: (3, 6), 10: (10, 24)}
"""Smallest number of seeds of a range → numbers of seeds that it is tuned with; each playlist is a case of all of them."""
MIN_CASES, MAX_CASES = 20, 200
TUNING_CANDIDATES = 200


def split_playlists(playlists: Collections) -> dict[str, np.ndarray]:
    """Part → numbers of its playlists, ascending; independent of the other playlists."""
    number_N = np.arange(FIRST_CODE, len(playlists))
    hash_N = np.array([zlib.crc32(str(name).encode()) % 5 for name in playlists.ids_N[FIRST_CODE:]], dtype=np.int64)
    return {part: number_N[np.isin(hash_N, hashes)] for part, hashes in PARTS.items()}


def playlist_cases(
    playlists: Collections, numbers: np.ndarray, seed_counts: Sequence[int], has_title: bool
) -> PlaylistCases:
    """For each of `seed_counts`, the playlists with more tracks: the first ones are the seeds, the others the targets."""
    lists = [(number, playlists.tracks[number], count) for count in seed_counts for number in numbers.tolist()]
    lists = [(number, tracks, count) for number, tracks, count in lists if len(tracks) > count]
    return PlaylistCases(
        seeds=Ragged.of_lists([tracks[:count] for _, tracks, count in lists]),
        titles=[str(playlists.titles_N[number]) if has_title else "" for number, _, _ in lists],
        targets=Ragged.of_lists([tracks[count:] for _, tracks, count in lists]),
    )


def tune_continuation(held_out: HeldOutModels) -> Continuation:
    """The continuation for the held-out channels; equal weights without enough playlists or sessions."""
    recaller = held_out.collection_recallers.get(Playlists.name)
    playlists = recaller.collections if recaller is not None else None
    parts = split_playlists(playlists) if playlists is not None else {}
    if playlists is None or len(parts["validation"]) < MIN_CASES:
        return fit_on_sessions(channel_sources(held_out.channels), held_out.data.recall_cases("validation"))
    hidden = [f"playlist:{playlists.ids_N[number]}" for number in parts["validation"].tolist()]
    channels: dict[str, RecallChannel] = {
        name: channel.without_entities(hidden) if isinstance(channel, KnowledgeGraphWalks) else channel
        for name, channel in held_out.channels.items()
    }
    known = np.union1d(parts["train"], parts["test"])
    return fit_continuation(held_out.data, channels, playlists, known, parts["validation"])


def fit_continuation(
    data: TrainingData,
    channels: Mapping[str, RecallChannel],
    playlists: Collections,
    known: np.ndarray,
    validation: np.ndarray,
) -> Continuation:
    """The weights of all sources with the highest recall of the validation playlists.

    Titles that name a style or a language are left out: they say what a playlist of such tracks consists of, as all titles of
    the simulated world do, and would be given more weight than titles of people deserve.

    Args:
        data: Training data of the channels.
        channels: Channels that do not know the validation playlists.
        playlists: All playlists.
        known: Numbers of the playlists that sources may use.
        validation: Numbers of the playlists to tune on.
    """
    if len(validation) < MIN_CASES:
        return Continuation()
    validation = validation[np.unique(np.linspace(0, len(validation) - 1, MAX_CASES).astype(np.int64))]
    titles = read_titles(data, playlists, known)
    sources = all_sources(channels, playlists, known, titles, data.catalog_V)
    telling = [bool(titles.parser.parse(str(title)).required) for title in playlists.titles_N[validation]]
    titled = validation[~np.array(telling)]
    weights = {}
    for least, tried in TUNED_SEEDS.items():
        cases = playlist_cases(playlists, validation if least else titled, tried, has_title=not least)
        if len(cases) >= MIN_CASES:
            found = _useful(cases.recall(sources, TUNING_CANDIDATES))
            weights[range_key(least)] = fit_range(found, cases)
    return Continuation(weights)


def fit_on_sessions(sources: Mapping[str, ContinuationSource], sessions: RecallCases) -> Continuation:
    """Weights of the sources that read seeds, on sessions of the validation part, two per user at most."""
    weights = {}
    for least, tried in TUNED_SEEDS.items():
        cases = session_cases(sessions, max(tried)) if least else None
        if cases is not None and len(cases) >= MIN_CASES:
            weights[range_key(least)] = fit_range(_useful(cases.recall(sources, TUNING_CANDIDATES)), cases)
    return Continuation(weights)


def session_cases(sessions: RecallCases, seeds: int) -> PlaylistCases:
    """At most MAX_CASES sessions with more than this number of tracks, at most two of a user, as playlists without title."""
    long = sessions.take(np.flatnonzero(sessions.items["targets"].count_C > seeds))
    targets = long.sample(2, seed=0, max_cases=MAX_CASES).items["targets"]
    lists = [targets[case] for case in range(len(targets.count_C))]
    return PlaylistCases(
        Ragged.of_lists([tracks[:seeds] for tracks in lists]),
        [""] * len(lists),
        Ragged.of_lists([tracks[seeds:] for tracks in lists]),
    )


def read_titles(data: TrainingData, playlists: Collections, known: np.ndarray) -> TitleData:
    """What titles are read by, with the titles of the `known` playlists only."""
    texts = list(title_lists(playlists, known))[:MAX_PLAYLIST_TITLES]
    parser = QueryParser.of(data.track_rows, encode_texts)
    facets = Catalog.build(data.track_rows, data.vocabulary).facets
    return TitleData(parser, facets, data.vocabulary, TextVectors.encode(texts))


def _useful(found: Mapping[str, Ints]) -> dict[str, Ints]:
    """The sources that find anything."""
    return {name: items_CK for name, items_CK in found.items() if items_CK.any()}


def fit_range(candidates: Mapping[str, Ints], cases: PlaylistCases) -> ReciprocalRank:
    """The weights with the highest recall of the targets."""
    if not len(cases) or not candidates:
        return ReciprocalRank()
    table = CandidateTable.merge(candidates, _no_history(len(cases)))
    return fit_weights(table, cases.targets, np.arange(len(cases)), CUTOFFS)


@dataclass(frozen=True)
class PlaylistCases:
    """C playlists to continue."""

    seeds: Ragged  # in the order of the playlist
    titles: Sequence[str]  # empty: not given
    targets: Ragged  # the tracks to find

    def __len__(self) -> int:
        """C."""
        return len(self.titles)

    def recall(self, sources: Mapping[str, ContinuationSource], k: int) -> dict[str, Ints]:
        """The `k` best candidates of each source for every case, [C, K]."""
        cases = [(self.seeds[case], title, k) for case, title in enumerate(self.titles)]
        return {
            name: np.concatenate(
                [np.zeros((0, k), dtype=np.int64), *(source.continue_playlist(*case) for case in cases)]
            )
            for name, source in sources.items()
        }
