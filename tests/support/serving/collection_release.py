"""A release of small fitted models over the tiny world with playlists and mlogs: `realtime`, interests with names, and what
recalls collections.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from content.encoders.text import encode_texts
from recommender.catalog.catalog import Catalog
from recommender.recall.collection_recall import Mlogs, Playlists
from recommender.recall.continuation.registry import TitleData, all_sources
from recommender.recall.continuation.titles import TextVectors
from recommender.recall.multi_interest.channel import MultiInterest
from recommender.recall.realtime import Realtime
from recommender.search.query_parser import QueryParser
from sequences.feature_services import ServiceContract
from serving.releases.served_release import ServedRelease
from tests.support.serving.small_release import ListChannel, release
from tests.support.training.collection_world import collection_marts, of
from training.data.collection_cases import read_collections
from training.recall.collections import fit_collection
from training.recipes import config_of
from training.train import fit_channel


def opened_release(folder: Path) -> ServedRelease:
    """Fit the models into `folder`; takes a few seconds."""
    data = of(collection_marts(folder, []), "final")
    realtime = fit_channel(Realtime, data, config_of(Realtime, "debug"), folder / "realtime")
    interests = fit_channel(MultiInterest, data, config_of(MultiInterest, "debug"), folder / "multi_interest")
    table = pl.read_parquet(folder / "tracks.parquet").with_columns(artist_ids=pl.concat_list("artist_id"))
    channels = [realtime, interests, ListChannel("popularity", range(2, 10))]
    playlists = read_collections(data, "playlist")
    catalog = Catalog.build(table, data.vocabulary)
    sources = all_sources(
        {channel.name: channel for channel in channels[:2]},
        playlists,
        np.arange(2, len(playlists)),
        TitleData(
            QueryParser.of(table, encode_texts),
            catalog.facets,
            data.vocabulary,
            TextVectors.encode(playlists.titles_N[2:].tolist()),
        ),
        catalog.is_served_V,
    )
    return release(
        table.with_columns(is_in_catalog=pl.lit(True)),
        channels,
        continuation_sources=sources,
        vocabulary=data.vocabulary,
        collection_channels={
            kind.name: fit_collection(kind, data, config_of(kind, "debug"), realtime) for kind in (Playlists, Mlogs)
        },
        contract=ServiceContract(("recent_events", "recent_clicks", "played_history", "exclusions")),
    )
