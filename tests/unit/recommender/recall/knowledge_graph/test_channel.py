"""The knowledge_graph channel on a simulated world with known soundtracks, and on the tiny world."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ingestion.simulate import WorldSize, simulate
from ingestion.simulation.world import World
from recommender.catalog.vocabulary import Vocabulary
from recommender.recall.channel import Candidates
from recommender.recall.knowledge_graph.candidate_features import NO_LISTEN
from recommender.recall.knowledge_graph.channel import KnowledgeGraphWalks
from recommender.recall.knowledge_graph.graph import HEARD_NEAR, KnowledgeGraph
from recommender.recall.play_archive import PlayArchive
from recommender.user.user_batch import UserBatch
from sequences import behaviors
from sequences.sequence_batch import SequenceBatch
from serving.messages import render_reason
from tests.support.training.tiny_world import NEVER, SERVICES, random_plays, users_at, write_marts
from training.data.plays import PARTS
from training.data.training_data import TrainingData
from training.recall.knowledge_graph import build_cooccurrence_edges
from training.recall.past_plays import archive_plays
from training.recall.registry import fit_channel
from training.recipes import config_of, recipe

FACETS = ("styles", "scenes", "emotions", "themes")
HOUR_US = 3_600_000_000
SIZE = WorldSize(users=5, tracks=800, days=1, seed=3)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated world."""
    folder = tmp_path_factory.mktemp("world") / "sim"
    simulate(SIZE, folder)
    return folder


@pytest.fixture(scope="module")
def tracks(world: Path) -> pl.DataFrame:
    return pl.read_parquet(world / "tracks" / "part.parquet")


@pytest.fixture(scope="module")
def triples(world: Path, tracks: pl.DataFrame) -> pl.DataFrame:
    """The curated soundtracks, and the triples of the catalog as dbt derives them."""
    heads = pl.lit("track:") + pl.col("track_id")
    lists = {"performed_by": ("artist", "artist_ids")} | {f"has_{name[:-1]}": (name[:-1], name) for name in FACETS}
    derived = [
        tracks.explode(column, empty_as_null=True)
        .drop_nulls(column)
        .select(head=heads, relation=pl.lit(relation), tail=pl.lit(f"{kind}:") + pl.col(column))
        for relation, (kind, column) in lists.items()
    ]
    language = tracks.select(head=heads, relation=pl.lit("has_language"), tail=pl.lit("language:") + pl.col("language"))
    curated = pl.read_parquet(world / "knowledge_triples" / "part.parquet").select("head", "relation", "tail")
    return pl.concat([curated, language, *derived])


@pytest.fixture(scope="module")
def channel(tracks: pl.DataFrame, triples: pl.DataFrame) -> KnowledgeGraphWalks:
    """A channel in a world without plays, where every candidate is cold."""
    rows = tracks.select("track_id", "title", artist_id=pl.col("artist_ids").list.first(), artist_names="artist_ids")
    vocabulary = Vocabulary.build(rows, pl.DataFrame({"track_id": []}, schema={"track_id": pl.String}))
    graph = KnowledgeGraph.build(triples, vocabulary)
    may_serve_V = np.arange(len(vocabulary)) >= 2
    no_history = PlayArchive.empty()
    config = config_of(KnowledgeGraphWalks, "debug")
    nothing_V = np.zeros(len(vocabulary), dtype=np.float32)
    never_V = np.full(len(vocabulary), NO_LISTEN)
    return KnowledgeGraphWalks(config, graph, {}, nothing_V, never_V, may_serve_V, no_history)


def listener_of(item: int) -> UserBatch:
    """A user who listened to one track one hour ago."""
    full_play = behaviors.load_behaviors().encoder["full_play"]
    columns = {"track_id": np.array([[item]]), "ended_at": np.array([[0]]), "behavior": np.array([[full_play]])}
    return UserBatch(["u"], np.array([HOUR_US]), {"played_history": SequenceBatch(columns, np.array([1]))})


def test_artists_with_a_common_soundtrack_are_reached_and_explained(
    world: Path, tracks: pl.DataFrame, channel: KnowledgeGraphWalks
) -> None:
    """For every two artists of a planted soundtrack: from a song of one to a song of the other that has nothing in
    common with it, and the soundtrack is why."""
    sung_by = dict(tracks.select("track_id", pl.col("artist_ids").list.first()).iter_rows())
    facets = {
        row["track_id"]: {row["language"], *(value for name in FACETS for value in row[name] or [])}
        for row in tracks.iter_rows(named=True)
    }
    songs: dict[str, list[str]] = {}
    for track, artist in sung_by.items():
        songs.setdefault(artist, []).append(track)
    soundtracks = World(SIZE.tracks, SIZE.days, SIZE.seed).tracks_WL.tolist()
    artists_of = {work: {sung_by[f"t{track}"] for track in tracks} for work, tracks in enumerate(soundtracks)}
    checked = 0
    for together in artists_of.values():
        for one, other in permutations(sorted(together), 2):
            apart = [(a, b) for a in songs[one] for b in songs[other] if not facets[a] & facets[b]]
            if not apart:
                continue
            listened, wanted = (channel.graph.vocabulary.track_code[track] for track in apart[0])
            user = listener_of(listened)
            assert wanted in channel.recall(user, 800).items_BK[0]
            # Two artists may have sung together more than once: any such work is true.
            shared = [work for work, artists in artists_of.items() if {one, other} <= artists]
            assert render_reason(channel.reasons(user, [wanted])[0], "en") in {
                f"because you listen to {one}: {one} and {other} both sang for the soundtrack of w{work}"
                for work in shared
            }
            checked += 1
    assert checked >= 5


def test_played_tracks_are_excluded(data: TrainingData) -> None:
    fitted = fit_channel(KnowledgeGraphWalks, data, config_of(KnowledgeGraphWalks, "debug"), Path())
    found = fitted.recall(users_at(data, fitted.feature_service, ["u0", "u1", "u2", "u3"], [NEVER] * 4), 40).items_BK
    for user in range(4):
        mine = data.plays.track_P[data.plays.user_P == user]
        assert len(mine) and found[user].any() and not np.isin(found[user], mine).any()


def test_first_plays_are_point_in_time_and_limited_to_the_newest(data: TrainingData, tmp_path: Path) -> None:
    plays = data.plays
    first_plays = archive_plays(data).first_plays()
    first_plays.save(tmp_path)
    everything, last = PlayArchive.load(tmp_path), first_plays.newest(3)
    for user, name in enumerate(data.user_ids_U):
        rows = np.flatnonzero((plays.user_P == user) & (plays.part_P == 0))
        time = int(plays.known_at_P[rows[len(rows) // 2]])
        before = rows[plays.known_at_P[rows] < time]
        assert set(everything.tracks_before(str(name), time).tolist()) == set(plays.track_P[before].tolist())
        in_order = list(dict.fromkeys(plays.track_P[rows].tolist()))
        assert last.tracks_before(str(name), NEVER).tolist() == in_order[-3:]
    assert not len(everything.tracks_before("unknown_user", NEVER))
    of_all_parts = archive_plays(data, PARTS).first_plays()
    for user, name in enumerate(data.user_ids_U):
        assert set(of_all_parts.tracks_before(str(name), NEVER)) == set(plays.track_P[plays.user_P == user])


@pytest.mark.parametrize("window", [1, 3])
def test_cooccurrence_edges_equal_counts_by_hand(data: TrainingData, window: int) -> None:
    plays = data.plays
    by: dict[tuple[int, int], set[int]] = {}
    rows = np.flatnonzero((plays.part_P == 0) & plays.is_listened_P)
    for place, row in enumerate(rows.tolist()):
        for other in rows[place + 1 : place + 1 + window].tolist():
            a, b = int(plays.track_P[row]), int(plays.track_P[other])
            if plays.session_start_P[row] == plays.session_start_P[other] and a != b:
                by.setdefault((a, b), set()).add(int(plays.user_P[row]))
                by.setdefault((b, a), set()).add(int(plays.user_P[row]))
    expected = []
    for track in sorted({a for a, _ in by}):
        near = sorted((-len(users), b) for (a, b), users in by.items() if a == track)
        expected += [(track, b, -count) for count, b in near[:4]]
    found = build_cooccurrence_edges(data, window, 4)
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected


def test_comparison_of_orders_does_not_recall_tracks_of_validation_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plays = random_plays()
    user, _, ended, _ = plays[125]
    plays[125] = (user, "t99", ended, 180_000)
    data = TrainingData(write_marts(tmp_path, plays), "held_out", recipe("debug"), services=SERVICES)
    (only_there,) = data.vocabulary.encode(["t99"])
    brought: list[np.ndarray] = []
    recall = KnowledgeGraphWalks.recall

    def recording_recall(channel: KnowledgeGraphWalks, users: UserBatch, k: int) -> Candidates:
        brought.append(recall(channel, users, k).items_BK)
        return recall(channel, users, k)

    monkeypatch.setattr(KnowledgeGraphWalks, "recall", recording_recall)
    fitted = fit_channel(KnowledgeGraphWalks, data, config_of(KnowledgeGraphWalks, "debug"), Path())
    assert any(items_BK.any() for items_BK in brought)
    assert not any((items_BK == only_there).any() for items_BK in brought)
    assert (fitted.is_servable_V == data.catalog_V).all(), "the tuning catalog is not the served catalog"
    assert HEARD_NEAR in fitted.graph.relations
