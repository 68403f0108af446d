"""Fit of the knowledge_graph channel: the graph with co-occurrence edges of the log, and the order of its candidates.

The walk's co-occurrence edges know which tracks a user played in the `train` part. Requests of that part would find
their targets by the user's own later plays. The order is therefore learned from the newest requests of the part, with
a graph that was built from the plays before them.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from content.audio_facets import facet_triples
from recommender.recall.knowledge_graph.candidate_features import NO_LISTEN
from recommender.recall.knowledge_graph.channel import KnowledgeGraphConfig, KnowledgeGraphWalks
from recommender.recall.knowledge_graph.graph import HEARD_NEAR, KnowledgeGraph
from training.data.plays import PARTS
from training.data.recall_cases import RecallCases
from training.data.training_data import TrainingData, archive_plays
from training.recall import learned_order

TRAIN, VALIDATION, TEST = range(len(PARTS))
CUTOFFS = (20, 50)
"""Numbers of discoveries in a list of 200 between which fusion usually chooses."""
PLAYS_PER_CHUNK = 1_000_000
MART_BY_TITLED_ENTITY = {"album": "albums", "playlist": "playlists"}


def fit(data: TrainingData, config: KnowledgeGraphConfig, folder: Path) -> KnowledgeGraphWalks:
    """Build the graph, add edges from the log, and fit the order.

    The order comes from `data.held_out_model`, if it is given.

    Raises:
        FileNotFoundError: The mart of triples does not exist.
    """
    del folder
    graph = KnowledgeGraph.build(read_triples(data.marts), data.vocabulary)
    titles = read_titles(graph, data.marts)
    channel = _channel_of_log(data, config, graph, titles, data.catalog_V)
    counts = np.bincount(channel.graph.relation_T).tolist()
    channel.measures = {"relations": dict(zip(channel.graph.relations, counts, strict=False))}
    of_train = channel.archive
    channel.store_past_plays(archive_plays(data, PARTS))  # as a request does: also plays since the end of `train`

    if learned_order.needs_order(channel, data):
        earlier = end_train_earlier(data, config.order.train_fraction)
        past = _channel_of_log(earlier, config, graph, titles, earlier.validation_catalog_V)
        past.store_past_plays(archive_plays(earlier, PARTS))
        sizes = config.order.requests_per_user, config.order.max_requests, config.seed
        examples = learned_order.build_examples(past, sample_requests(earlier, *sizes), earlier, "reachable")
        cases = sample_requests(data, config.comparison_cases_per_user, config.max_comparison_cases, config.seed)
        channel.is_servable_V = data.catalog_V & data.validation_catalog_V
        learned_order.fit_order(channel, data, examples, cases, "reachable", CUTOFFS)
        channel.is_servable_V = data.catalog_V
    channel.archive = of_train
    return channel


def _channel_of_log(
    data: TrainingData,
    config: KnowledgeGraphConfig,
    graph: KnowledgeGraph,
    titles: dict[str, str],
    is_servable_V: np.ndarray,
) -> KnowledgeGraphWalks:
    """A channel without an order, with everything that comes from the `train` part of the log."""
    edges = build_cooccurrence_edges(data, config.cooccurrence_window, config.cooccurrence_neighbors)
    history = archive_plays(data).first_plays().newest(config.max_history_per_user)
    plays, size = data.plays, len(data.vocabulary)
    rows = np.flatnonzero((plays.part_P == TRAIN) & plays.is_listened_P)
    listeners = np.unique(plays.user_P[rows] * np.int64(size) + plays.track_P[rows])
    count_V = np.bincount(listeners % size, minlength=size).astype(np.float32)
    first_V = np.full(size, NO_LISTEN)
    np.minimum.at(first_V, plays.track_P[rows], plays.known_at_P[rows])
    graph = graph.with_edges(HEARD_NEAR, *edges)
    return KnowledgeGraphWalks(config, graph, titles, count_V, first_V, is_servable_V, history)


def sample_requests(data: TrainingData, per_user: int, max_requests: int, seed: int) -> RecallCases:
    """Validation requests with a reachable discovery."""
    cases = data.recall_cases("validation")
    return cases.take(np.flatnonzero(cases.items["reachable"].count_C > 0)).sample(per_user, seed, max_requests)


def end_train_earlier(data: TrainingData, fraction: float) -> TrainingData:
    """A copy where the last `fraction` of each user's plays of `train` are `validation`, and all later ones `test`.

    The parts of a user begin at the start of a session. Later plays are no listens, so that none is a target of a session
    that begins in `train`.
    """
    plays = data.plays
    is_train_P = plays.part_P == TRAIN
    count_U = np.bincount(plays.user_P[is_train_P], minlength=len(data.user_ids_U))
    number_P = np.arange(len(plays)) - plays.offset_U1[plays.user_P]
    is_late_P = number_P[plays.session_start_P] >= (1 - fraction) * count_U[plays.user_P]
    part_P = np.where(is_train_P, np.where(is_late_P, VALIDATION, TRAIN), TEST).astype(plays.part_P.dtype)
    earlier = copy.copy(data)
    earlier.__dict__.pop("validation_catalog_V", None)  # cached, and depends on the parts
    earlier.plays = replace(plays, part_P=part_P, is_listened_P=plays.is_listened_P & is_train_P)
    return earlier


def read_titles(graph: KnowledgeGraph, marts: Path) -> dict[str, str]:
    """The titles of the graph's albums and playlists that the marts have, by typed text."""
    titles: dict[str, str] = {}
    for kind, mart in MART_BY_TITLED_ENTITY.items():
        path = marts / f"{mart}.parquet"
        if path.exists():
            rows = pl.read_parquet(path, columns=[f"{kind}_id", "title"]).drop_nulls().sort(f"{kind}_id")
            titles |= {f"{kind}:{name}": title for name, title in rows.iter_rows()}
    return {text: titles[text] for text in graph.entities if text in titles}


def read_triples(marts: Path) -> pl.DataFrame:
    """The mart `knowledge_triples`, and the facets that tracks have from their audio.

    Raises:
        FileNotFoundError: the mart does not exist.
    """
    triples = pl.read_parquet(marts / "knowledge_triples.parquet", columns=["head", "relation", "tail"])
    return pl.concat([triples, facet_triples(marts)])


def build_cooccurrence_edges(
    data: TrainingData, window: int, max_neighbors: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Co-occurrence edges from each track to its `max_neighbors` most frequent neighbors.

    Args:
        data: Training data.
        window: Maximum distance of two plays of one session, in listens.
        max_neighbors: Edges per track; ties are broken by smaller item code.

    Returns:
        Source, target and strength (number of users) of each edge.
    """
    plays = data.plays
    rows = np.flatnonzero((plays.part_P == PARTS.index("train")) & plays.is_listened_P)
    by_user = []
    for start in range(0, max(len(rows), 1), PLAYS_PER_CHUNK):
        # Chunks overlap by `window` rows so that pairs across the boundary are found.
        piece = rows[start : start + PLAYS_PER_CHUNK + window]
        pairs = [_pairs_at_distance(data, piece, distance) for distance in range(1, window + 1)]
        by_user.append(pl.concat(pairs).unique())
    counted = pl.concat(by_user).unique().group_by("a", "b").agg(users=pl.len().cast(pl.Float32))
    mirrored = pl.concat([counted, counted.select(a="b", b="a", users="users")])
    ranked = mirrored.sort("a", "users", "b", descending=[False, True, False])
    kept = ranked.filter(pl.int_range(pl.len()).over("a") < max_neighbors)
    return kept["a"].to_numpy(), kept["b"].to_numpy(), kept["users"].to_numpy()


def _pairs_at_distance(data: TrainingData, rows: np.ndarray, distance: int) -> pl.DataFrame:
    """Distinct (a, b, user): different tracks a < b that a user listened to `distance` listens apart in one session."""
    plays = data.plays
    first, second = rows[:-distance], rows[distance:]
    a, b = plays.track_P[first], plays.track_P[second]
    kept = (plays.session_start_P[first] == plays.session_start_P[second]) & (a != b)
    a, b, user = a[kept], b[kept], plays.user_P[first][kept]
    columns = {"a": np.minimum(a, b), "b": np.maximum(a, b), "user": user}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Int32)).unique()
