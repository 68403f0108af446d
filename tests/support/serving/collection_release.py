"""A release of small fitted models over the tiny world with playlists and mlogs: `realtime`, interests with names, and what
recalls collections.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from serving.releases.served_release import ServedRelease
from tests.support.serving.small_release import ListChannel, release
from tests.support.training.collection_world import collection_marts, of
from training.content.encoders.text import encode_texts
from training.data.collections import Collections
from training.data.feature_services import ServiceContract
from training.recall.collection_recall import Mlogs, Playlists
from training.recall.continuation.registry import TitleData
from training.recall.continuation.titles import TextVectors
from training.recall.multi_interest.channel import MultiInterest
from training.recall.realtime import Realtime
from training.release.bundle import continuation_sources
from training.search.query_parser import QueryParser

CONTRACT = ServiceContract(("recent_events", "recent_clicks", "played_history", "exclusions"))


def opened_release(folder: Path) -> ServedRelease:
    """Fit the models into `folder`; takes a few seconds."""
    data = of(collection_marts(folder, []), "final")
    realtime = Realtime.fit(data, Realtime.config("debug"), folder / "realtime")
    interests = MultiInterest.fit(data, MultiInterest.config("debug"), folder / "multi_interest")
    table = pl.read_parquet(folder / "tracks.parquet").with_columns(artist_ids=pl.concat_list("artist_id"))
    channels = [realtime, interests, ListChannel("popularity", range(2, 10))]
    playlists = Collections.of(data, "playlist")
    sources = continuation_sources(
        {channel.name: channel for channel in channels[:2]},
        data.vocabulary,
        table,
        playlists,
        TitleData(
            QueryParser.of(table, encode_texts),
            table,
            data.vocabulary,
            TextVectors.encode(playlists.titles_N[2:].tolist()),
        ),
    )
    return release(
        table.with_columns(is_in_catalogue=pl.lit(True)),
        channels,
        continuation_sources=sources,
        vocabulary=data.vocabulary,
        collection_channels={kind.name: kind.fit(data, kind.config("debug"), realtime) for kind in (Playlists, Mlogs)},
        contract=CONTRACT,
    )
