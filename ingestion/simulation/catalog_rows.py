"""Converts the simulated catalog to contract rows: ids, names, lyrics, facets, comments and knowledge triples."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from ingestion import landed_tables
from ingestion.simulation import facets
from ingestion.simulation.world import OST_TRACKS, Ints, World
from media.track_description import TrackDescription, cover_path, preview_path

PREFIX = {"track": "t", "playlist": "p", "album": "l", "artist": "a", "mlog": "m"}
LYRIC_WORDS = 16
SOUNDTRACK_RELATION = "sang_ost_of"


def make_ids(target_type: str, count: int) -> list[str]:
    """Ids of all objects of a type, in index order: `t0, t1, …`."""
    return [f"{PREFIX[target_type]}{number}" for number in range(count)]


def build_tables(world: World, start: date, seed: int) -> dict[str, pa.Table]:
    """All catalog tables of the contract without `landed_at`; soundtracks are knowledge triples."""
    random = np.random.default_rng([seed, 4])
    track_ids = np.array(make_ids("track", world.tracks), object)
    artist_ids = np.array(make_ids("artist", len(world.interest_A)), object)
    albums, first_of_album = np.unique(world.album_V, return_index=True)
    album_ids = np.array(make_ids("album", len(albums)), object)
    playlists = range(len(world.interest_P))
    titles = _titles(random, world.tracks)
    return {
        "tracks": _tracks(world, start, titles, random),
        "artists": _contract_table("artists", artist_id=artist_ids, name=_artist_names(random, len(artist_ids))),
        "albums": _contract_table(
            "albums",
            album_id=album_ids,
            title=_titles(random, len(albums)),
            artist_ids=[[artist_ids[artist]] for artist in world.artist_V[first_of_album]],
            released_on=[start + timedelta(days=int(day)) for day in world.first_day_V[first_of_album]],
        ),
        "playlists": _contract_table(
            "playlists",
            playlist_id=make_ids("playlist", len(playlists)),
            title=[_playlist_title(world, playlist) for playlist in playlists],
            source=np.where(world.is_editorial_P, "mgc", "ugc"),
            track_ids=[list(dict.fromkeys(track_ids[tracks])) for tracks in world.tracks_PL],
        ),
        "mlogs": _contract_table(
            "mlogs",
            mlog_id=make_ids("mlog", len(world.track_M)),
            title=[f"A moment with {titles[track]}" for track in world.track_M],
            track_ids=[[track_ids[track]] for track in world.track_M],
        ),
        "track_comments": _comments(world, start, track_ids, random),
        "knowledge_triples": _soundtracks(world),
    }


def _tracks(world: World, start: date, titles: list[str], random: np.random.Generator) -> pa.Table:
    midnight = np.datetime64(start, "us")
    first_V = midnight + world.first_day_V.astype("timedelta64[D]")
    is_new_V, is_withdrawn_V = world.first_day_V >= 0, world.last_day_V < 10**6
    until_V = midnight + np.where(is_withdrawn_V, world.last_day_V, 0).astype("timedelta64[D]")
    style_V = world.style_K[world.interest_V]
    track_ids = make_ids("track", world.tracks)
    return _contract_table(
        "tracks",
        track_id=track_ids,
        recording_id=[f"r{recording}" for recording in world.recording_V],
        title=titles,
        artist_ids=[[f"a{artist}"] for artist in world.artist_V],
        album_id=[f"l{album}" for album in world.album_V],
        duration_ms=world.duration_ms_V,
        released_on=first_V.astype("datetime64[D]"),
        available_from=pa.array(first_V, mask=~is_new_V).cast(landed_tables.TIME),
        available_until=pa.array(until_V, mask=~is_withdrawn_V).cast(landed_tables.TIME),
        territories=[[] for _ in titles],
        is_explicit=world.is_explicit_V,
        language=np.array(facets.LANGUAGES, object)[world.language_K[world.interest_V]],
        styles=[[facets.STYLES[style]] for style in style_V],
        scenes=_names(world.scenes_VS, facets.SCENES),
        emotions=_names(world.emotions_VE, facets.EMOTIONS),
        themes=[[facets.THEMES[theme]] if theme >= 0 else [] for theme in world.theme_V],
        lyrics=_lyrics(world, random),
        audio_vector=_vectors(world.audio_VD),
        image_vector=_vectors(world.image_VD),
        audio_url=pa.nulls(world.tracks, pa.string()),
        audio_path=[preview_path(track_id) for track_id in track_ids],
        cover_path=[cover_path(track_id) for track_id in track_ids],
    )


def _soundtracks(world: World) -> pa.Table:
    """Triples of artists and the works whose soundtracks they sang in, the only connection between some artists."""
    work_N = np.repeat(np.arange(len(world.tracks_WL)), OST_TRACKS)
    pairs = np.unique(np.stack([world.artist_V[world.tracks_WL.ravel()], work_N], axis=1), axis=0)
    return _contract_table(
        "knowledge_triples",
        head=[f"artist:{PREFIX['artist']}{artist}" for artist, _ in pairs],
        relation=[SOUNDTRACK_RELATION] * len(pairs),
        tail=[f"work:w{work}" for _, work in pairs],
    )


def _comments(world: World, start: date, track_ids: np.ndarray, random: np.random.Generator) -> pa.Table:
    weight_V = world.popularity_V * (world.first_day_V < 0)
    commented = random.choice(world.tracks, world.tracks // 2, p=weight_V / weight_V.sum())
    emotion = [facets.EMOTIONS[np.flatnonzero(world.emotions_VE[track])[0]] for track in commented]
    style = [facets.STYLES[style] for style in world.style_K[world.interest_V[commented]]]
    scene = np.array(facets.SCENES)[random.integers(0, len(facets.SCENES), len(commented))]
    before = random.integers(1, 300 * 86_400, len(commented)).astype("timedelta64[s]")
    return _contract_table(
        "track_comments",
        comment_id=[f"c{number}" for number in range(len(commented))],
        track_id=track_ids[commented],
        text=[f"So {a}, my kind of {b} for the {c}" for a, b, c in zip(emotion, style, scene, strict=True)],
        occurred_at=pa.array((np.datetime64(start, "s") - before).astype("datetime64[us]")).cast(landed_tables.TIME),
    )


def _lyrics(world: World, random: np.random.Generator) -> list[str]:
    """Lyrics composed of words of the track's interest and its emotions, so that text predicts affinity."""
    words = np.array(facets.ADJECTIVES + facets.NOUNS, object)
    own_KW = random.random((world.interests, len(words))).argsort(axis=1)[:, :8]
    sampled = own_KW[world.interest_V[:, None], random.integers(0, 8, (world.tracks, LYRIC_WORDS))]
    feelings = _names(world.emotions_VE, facets.EMOTIONS)
    return [f"{' '.join(words[row])} {' '.join(feeling)}" for row, feeling in zip(sampled, feelings, strict=True)]


def _titles(random: np.random.Generator, count: int) -> list[str]:
    first = np.array(facets.ADJECTIVES, object)[random.integers(0, len(facets.ADJECTIVES), count)]
    second = np.array(facets.NOUNS, object)[random.integers(0, len(facets.NOUNS), count)]
    number = random.integers(2, 100, count)
    plain = random.random(count) < 0.7
    names = zip(first, second, number, plain, strict=True)
    return [f"{a.title()} {b.title()}" + ("" if is_plain else f" No. {n}") for a, b, n, is_plain in names]


def _artist_names(random: np.random.Generator, count: int) -> list[str]:
    """Distinct artist names."""
    pairs = [(a, b, c) for c in facets.COLLECTIVES for a in facets.ADJECTIVES for b in facets.NOUNS]
    order = random.permutation(len(pairs))
    names = []
    for number in range(count):
        first, second, kind = pairs[order[number % len(pairs)]]
        repetition = number // len(pairs)
        names.append(f"The {first.title()} {second.title()}{kind}" + (f" {repetition + 1}" if repetition else ""))
    return names


def _playlist_title(world: World, playlist: int) -> str:
    interest = world.interest_P[playlist]
    language, style = facets.LANGUAGES[world.language_K[interest]], facets.STYLES[world.style_K[interest]]
    made_by = "essentials" if world.is_editorial_P[playlist] else "favorites"
    return f"{language} {style} {made_by} {playlist // world.interests + 1}"


def _names(is_VX: np.ndarray, names: tuple[str, ...]) -> list[list[str]]:
    return [[name for name, is_set in zip(names, row, strict=True) if is_set] for row in is_VX.tolist()]


def _vectors(values_VD: np.ndarray) -> pa.Array:
    flat = pa.array(values_VD.ravel(), pa.float32())
    offsets: Ints = np.arange(len(values_VD) + 1) * values_VD.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)


def _contract_table(name: str, /, **columns: object) -> pa.Table:
    schema = landed_tables.source_schema(name)
    arrays = [
        column if isinstance(column := columns[field.name], pa.Array) else pa.array(column, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def describe_tracks(world: World, titles: Sequence[str], seed: int) -> dict[str, TrackDescription]:
    """Descriptions by track id."""
    return {
        track_id: TrackDescription(
            seed=seed,
            recording=f"r{world.recording_V[track]}",
            artist=f"a{world.artist_V[track]}",
            album=f"l{world.album_V[track]}",
            title=titles[track],
            language=facets.LANGUAGES[world.language_K[world.interest_V[track]]],
            style=facets.STYLES[world.style_K[world.interest_V[track]]],
            emotions=tuple(
                name for name, is_set in zip(facets.EMOTIONS, world.emotions_VE[track].tolist(), strict=True) if is_set
            ),
        )
        for track, track_id in enumerate(make_ids("track", world.tracks))
    }
