"""What users leave out of their taste profiles is neither a feature nor a training example, compared with plain Python."""

import shutil
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from recommender.catalog.catalog import Catalog
from recommender.catalog.vocabulary import Vocabulary
from recommender.user.exclusions import FOREVER, Exclusions, LeftOut, TargetTracks, leave_out
from sequences.sequence_batch import SequenceBatch
from tests.support.serving.small_release import tracks
from tests.support.training.tiny_world import NEVER, SERVICES, START, random_plays, users_at, write_marts
from training.data.training_data import TrainingData
from training.ranking.labeled_cases import ranking_cases
from training.recall.windows import WindowSampler
from training.recipes import recipe

TABLE = tracks(
    6,
    album_id=["a", "a", None, "b", "b", "b"],
    languages=[["Korean"], ["Korean"], ["Korean"], ["Western"], ["Western"], []],
    styles=[["jazz"], ["pop"], ["jazz"], ["jazz"], ["pop"], []],
    emotions=[["sad"], ["sad"], [], ["sad"], [], []],
)
VOCABULARY = Vocabulary.build(TABLE, pl.DataFrame({"track_id": TABLE["track_id"]}))
TARGETS = TargetTracks(
    Catalog.build(TABLE, VOCABULARY), lambda name: np.array([7, 2, 2]) if name == "p" else np.zeros(0, np.int64)
)
ALBUM = [f"t{number}" for number in range(0, 40, 4)]
LEAVER, OTHER = "u0", "u1"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (("album", "a"), ["t0", "t1"]),
        (("album", "unknown"), []),
        (("playlist", "p"), ["t0", "t5"]),
        (("playlist", "unknown"), []),
        (("interest", "jazz"), ["t0", "t2", "t3"]),
        (("interest", "Korean · jazz"), ["t0", "t2"]),
        (("interest", "Korean · jazz · sad"), ["t0", "t1", "t2", "t3"]),  # two of three values
        (("interest", "Artist 1 · Artist 2"), ["t2", "t3", "t4", "t5"]),
        (("track", "t0"), []),
    ],
)
def test_the_tracks_of_a_target(target, expected):
    assert VOCABULARY.decode(TARGETS.items_of(target)) == expected


def test_a_reset_ends_and_an_exclusion_does_not():
    found = TARGETS.left_out(Exclusions(profile={("album", "a"): None, ("interest", "jazz"): 50}))
    assert (found.item_N.tolist(), found.until_N.tolist()) == ([2, 3, 4, 5], [FOREVER, FOREVER, 50, 50])
    assert len(TARGETS.left_out(Exclusions())) == 0


def test_left_out_events_are_dropped_from_every_view():
    rng = np.random.default_rng(5)
    left_out = [LeftOut(np.array([3, 6]), np.array([FOREVER, 40])), LeftOut()]
    item_BL, ended_BL = rng.integers(2, 9, (2, 30)), np.sort(rng.integers(0, 80, (2, 30)), axis=1)
    view = SequenceBatch({"track_id": item_BL, "ended_at": ended_BL}, np.array([25, 30]))
    found, dropped = leave_out({"one": view, "targets": SequenceBatch({"target_id": item_BL}, view.length_B)}, left_out)
    rows = list(zip(item_BL[0, :25].tolist(), ended_BL[0, :25].tolist(), strict=True))
    kept = [(item, at) for item, at in rows if not (item == 3 or (item == 6 and at <= 40))]
    assert found["one"].columns["track_id"][0, : len(kept)].tolist() == [item for item, _ in kept]
    assert found["one"].length_B.tolist() == [len(kept), 30]
    assert sorted(dropped) == sorted(item for item, at in rows if (item, at) not in kept)
    assert found["targets"].length_B.tolist() == [25, 30]


@pytest.fixture(scope="module")
def marts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random plays of a tiny world whose tracks 0, 4, 8 … are of one album, which one user leaves out at the end."""
    marts = write_marts(tmp_path_factory.mktemp("marts"), random_plays())
    table = pl.read_parquet(marts / "tracks.parquet")
    table.with_columns(album_id=pl.when(pl.col("track_id").is_in(ALBUM)).then(pl.lit("album"))).write_parquet(
        marts / "tracks.parquet"
    )
    events = pl.read_parquet(marts / "events.parquet")
    later = pl.lit(START + timedelta(days=300)).cast(pl.Datetime("us"))
    control = events.filter(pl.col("user_id") == LEAVER).tail(1)
    control = control.with_columns(
        *(pl.lit("exclude").alias(name) for name in ("event_id", "behavior", "action")),
        *(pl.lit("album").alias(name) for name in ("target_type", "target_id")),
        *(later.alias(name) for name in ("known_at", "ended_at")),
        track_id=pl.lit(None, pl.String),
    )
    pl.concat([events, control.select(events.columns)]).sort("user_id", "known_at").write_parquet(
        marts / "events.parquet"
    )
    return marts


def test_an_excluded_album_is_no_training_example(marts: Path):
    data = TrainingData(marts, "final", recipe("debug"), services=SERVICES)
    plays = pl.read_parquet(marts / "plays.parquet")
    kept = plays.filter((pl.col("user_id") != LEAVER) | ~pl.col("track_id").is_in(ALBUM))
    assert 0 < len(kept) < len(plays)
    assert len(data.plays) == len(kept)
    album = data.vocabulary.encode(ALBUM)
    number = data.user_ids_U.tolist().index(LEAVER)
    for users, items in (
        (data.plays.user_P, data.plays.track_P),
        (ranking_cases(data).user_R, ranking_cases(data).item_R),
    ):
        assert not np.isin(items[users == number], album).any()
        assert np.isin(items[users != number], album).any()
    sampler = WindowSampler(data, 12, SimpleNamespace(horizon=1, user_sampling_exponent=0.5))
    leaver = sampler.item_E[sampler.first_U[number] : sampler.end_U[number]]
    assert len(leaver) and not np.isin(leaver, album).any()
    other = data.user_ids_U.tolist().index(OTHER)
    assert np.isin(sampler.item_E[sampler.first_U[other] : sampler.end_U[other]], album).any()


def test_an_excluded_album_is_no_feature(marts: Path):
    data = TrainingData(marts, "final", recipe("debug"), services=SERVICES)
    batch = users_at(data, "realtime", [LEAVER, OTHER], [NEVER] * 2)
    album = data.vocabulary.encode(ALBUM)
    for view in batch.views.values():
        if view.length_B.any():
            assert not np.isin(view.columns["track_id"][0], album).any()
            assert np.isin(view.columns["track_id"][1], album).any()


def test_a_user_who_leaves_everything_out_has_no_plays(marts: Path, tmp_path: Path):
    shutil.copytree(marts, tmp_path, dirs_exist_ok=True)
    pl.scan_parquet(marts / "tracks.parquet").with_columns(album_id=pl.lit("album")).sink_parquet(
        tmp_path / "tracks.parquet"
    )
    data = TrainingData(tmp_path, "held_out", recipe("debug"), services=SERVICES)
    assert LEAVER not in data.user_ids_U and OTHER in data.user_ids_U
    assert data.plays.offset_U1[-1] == len(data.plays)
