"""Synthetic release and users, without training, large enough to load-test the real service.

Channels and catalog come from `synthetic_channels`; the ranker is `session_domains` with random weights and the
recipe's sizes; each user has 400 events, three in four of them listened to. The search is of the made-up titles.
Responses are meaningless, but cost as much as with a real release of these sizes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import torch

from content.encoders.text import encode_texts, text_encoder_version
from recommender.ranking.event_embeddings import ItemFrequencies
from recommender.ranking.features.ranking_features import RankingFeatures
from recommender.ranking.features.track_statistics import COUNTS, TrackStatistics
from recommender.ranking.fitted_ranker import FittedRanker
from recommender.ranking.registry import RANKERS
from recommender.recall.registry import CHANNELS
from recommender.search.write_search import write_search
from recommender.slate.continuation_weights import Continuation
from recommender.slate.fusion import Fusion, ReciprocalRank
from recommender.slate.ranker_blend import Blend
from releases import bundle, integrity
from releases.format import FORMAT
from releases.pointer import MANIFEST, Pointer
from research.serving.synthetic_channels import SyntheticWorld
from research.serving.synthetic_rankers import fit_random_trees, make_content_rows, make_track_genres
from sequences.sequence_batch import FIRST_CODE
from storage.files import write_json
from training.recipes import config_of

RANKER = "session_domains"
TASKS = ("not_skipped", "full_play")
EVENTS_PER_USER, FAVORITES_PER_USER = 400, 100
EVENT_INTERVAL_S = 1_800
EMBEDDED_TRACK_SHARE = 0.2


def write_release(home: Path, tracks: int, recipe: str) -> None:
    """Write a release of all six channels over `tracks` tracks and activate it in `home`."""
    folder, name = home / "made_release", f"made{tracks}"
    make_release(folder, tracks, recipe, name)
    Pointer(home / "bentoml" / "active.json").activate(name, folder)


def make_release(folder: Path, tracks: int, recipe: str, name: str, mark: str = "") -> None:
    """Write a release of all six channels; `mark` is appended to every title to identify the release in responses."""
    world = SyntheticWorld(tracks, recipe)
    world.vocabulary.titles_V[FIRST_CODE:] += mark
    channels = world.channels()
    for channel in channels.values():
        channel.save(folder / "channels" / channel.name)
    _make_ranker(world, recipe).save(folder / "ranker")
    weights = ReciprocalRank(dict.fromkeys(channels, 1.0))
    Fusion(weights, weights, {"": 0.3}).save(folder / bundle.FUSION)
    Blend(0.3).save(folder / bundle.BLEND)
    Continuation().save(folder / bundle.CONTINUATION)
    world.vocabulary.save(folder / "vocabulary")
    catalog = _make_catalog(world)
    catalog.write_parquet(folder / bundle.CATALOG)
    searched = catalog.with_columns(item=pl.int_range(pl.len()) + FIRST_CODE)
    write_search(searched, folder / bundle.SEARCH, encode_texts, text_encoder_version())
    services = {name: CHANNELS[name].feature_service for name in channels} | {RANKER: RANKERS[RANKER].feature_service}
    manifest = {"format": FORMAT, "release": name, "channels": list(channels), "collections": [], "ranker": RANKER}
    write_json(folder / MANIFEST, manifest | {"feature_services": services})
    (folder / integrity.CHECKSUM_FILE).write_text(integrity.checksum_listing(folder))


def _make_ranker(world: SyntheticWorld, recipe: str) -> FittedRanker:
    torch.manual_seed(0)
    config = config_of(RANKERS[RANKER], recipe)
    items = len(world.vocabulary)
    # Only frequently played tracks have their own embedding.
    count_V = torch.from_numpy(np.where(np.arange(items) < items * EMBEDDED_TRACK_SHARE, 100, 0))
    catalog = ItemFrequencies(count_V, torch.full((world.vocabulary.artist_count,), 100))
    yesterday = pl.DataFrame({"known_at": [datetime.now() - timedelta(days=1)] * world.tracks})
    rows = yesterday.with_columns(pl.lit(9).alias(name) for name in COUNTS).cast({"known_at": pl.Datetime("us")})
    statistics = TrackStatistics.build(rows, world.catalog_items)
    features = RankingFeatures.from_vocabulary(
        world.vocabulary, statistics, config.features, make_track_genres(items), make_content_rows(items)
    )
    model = RANKERS[RANKER](config, catalog, TASKS)
    if config.trees.count:
        model.set_tree_weights([0.3] * len(model.tasks))
        features = replace(features, trees=fit_random_trees(features, config.trees, items, len(model.tasks)))
    return FittedRanker(RANKER, model.tasks, model.eval().export(), features, config, {})


def _make_catalog(world: SyntheticWorld) -> pl.DataFrame:
    vocabulary = world.vocabulary
    artist = vocabulary.artist_of_track_V[FIRST_CODE:]
    return pl.DataFrame(
        {
            "track_id": vocabulary.track_ids_V[FIRST_CODE:].tolist(),
            "title": vocabulary.titles_V[FIRST_CODE:].tolist(),
            "artist_ids": [[value] for value in vocabulary.artist_ids_A[artist].tolist()],
            "artist_names": [[value] for value in vocabulary.artist_names_A[artist].tolist()],
            "duration_ms": [200_000] * world.tracks,
        }
    )


def write_users(marts: Path, users: int, tracks: int) -> date:
    """Write `events.parquet` and `user_profiles.parquet` of users with their own favorites; return today."""
    marts.mkdir(parents=True, exist_ok=True)
    today = date.today()
    last_us = int(datetime(today.year, today.month, today.day).timestamp()) * 1_000_000
    rows = f"""
        select user, number, ({last_us} - ({EVENTS_PER_USER} - number) * {EVENT_INTERVAL_S} * 1000000)::bigint as at_us,
            hash(user, floor(exp(ln({FAVORITES_PER_USER}) * ((hash(user, number, 1) % 1000000) / 1e6)))) % {tracks} as track,
            hash(user, number, 2) % 20 as chance
        from range({users}) as users(user), range({EVENTS_PER_USER}) as numbers(number)
    """
    events = f"""
        select
            md5(user || '-' || number) as event_id,
            printf('u%06d', user) as user_id,
            number as sequence_number,
            make_timestamp(at_us) as known_at,
            make_timestamp(at_us - 180000000) as occurred_at,
            make_timestamp(at_us) as ended_at,
            case when chance < 12 then 'full_play' when chance < 15 then 'play' when chance < 19 then 'skip'
                else 'click' end as behavior,
            'track' as target_type,
            't' || track as target_id,
            't' || track as track_id,
            case when chance < 12 then 1 when chance < 15 then 0.6 when chance < 19 then 0.1 end::float as played_ratio,
            'daily' as scene
        from ({rows})
        order by user, number
    """
    totals = ("plays_total", "listens_total", "full_plays_total", "skips_total", "tracks_total", "artists_total")
    profiles = f"""
        select printf('u%06d', user) as user_id, make_timestamp({last_us} - 1000000) as known_at,
            {", ".join(f"{EVENTS_PER_USER} as {name}" for name in totals)}
        from range({users}) as users(user) order by user
    """
    with duckdb.connect() as connection:
        connection.execute("set memory_limit = '4GB'")
        for name, query in (("events", events), ("user_profiles", profiles)):
            connection.execute(f"copy ({query}) to '{marts / name}.parquet' (format parquet)")
    return today
