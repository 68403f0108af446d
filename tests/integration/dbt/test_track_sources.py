"""Tracks that several sources have are one track, whatever the order in which they were landed."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from tests.support.landing_zone import at, built, event, write, write_empty_tables

FORMATS = ("own_events", "subsonic", "music_folder", "lastfm_1k", "mapped_csv")
RANKS = {"own_events": 3, "subsonic": 2.5, "music_folder": 2}
RIGHTS = ("territories", "is_explicit")
MBID = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"


def mart(home: Path, name: str, columns: str = "*") -> list[tuple[Any, ...]]:
    return duckdb.sql(f"select {columns} from '{home / 'marts' / name}.parquet' order by all").fetchall()


def random_row(random: Random) -> dict[str, Any]:
    source = random.choice(FORMATS)
    empty = ["", None] if source == "own_events" else [None]
    return {
        "track_id": f"t{random.randrange(30)}",
        "format": source,
        "source_at": at(random.randrange(4)),
        "title": random.choice([*empty, None, "a", "b"]),
        "styles": random.choice([[], None, ["rock"], ["folk", "pop"]]),
        "duration_ms": random.choice([None, None, 100_000, 200_000]),
        "territories": random.choice([None, None, None, ["KR"], ["US"]]),
        "is_explicit": random.choice([None, None, True, False]),
    }


def best(rows: list[dict[str, Any]], column: str) -> Any:
    """The slow way to merge a column."""
    keys = [(row["source_at"], RANKS.get(row["format"], 1), row["format"], row[column]) for row in rows
            if row[column] is not None and (row["format"] == "own_events" or row[column] != [])]  # fmt: skip
    return max(keys)[-1] if keys else None


def rights(rows: list[dict[str, Any]]) -> tuple[Any, ...]:
    stating = {row["format"] for row in rows if any(row[name] is not None for name in RIGHTS)}
    newest = max(
        (row for row in rows if row["format"] in stating),
        key=lambda row: (row["source_at"], RANKS.get(row["format"], 1), row["format"]),
        default=dict.fromkeys(RIGHTS),
    )
    return newest["territories"] or [], newest["is_explicit"]


def test_merged_columns_equal_the_oracle_in_any_order_of_landing(tmp_path: Path) -> None:
    random = Random(3)
    rows = list({(row["track_id"], row["format"], row["source_at"]): row for row in
                 (random_row(random) for _ in range(300))}.values())  # fmt: skip
    for home in (tmp_path / "a", tmp_path / "b"):
        write_empty_tables(home)
        random.shuffle(rows)
        for number in range(0, len(rows), 50):
            landed = [row | {"landed_at": at(100 + number + random.random())} for row in rows[number : number + 50]]
            write(home, "tracks", "2026-06-02", f"rows{number}", landed)
        built(home)
    columns = "track_id, title, styles, duration_ms, territories, is_explicit"
    merged = mart(tmp_path / "a", "tracks", columns)
    assert merged == mart(tmp_path / "b", "tracks", columns)
    assert merged == sorted(
        (track, best(of, "title") or None, best(of, "styles") or [], best(of, "duration_ms"), *rights(of))
        for track in {row["track_id"] for row in rows}
        if (of := [row for row in rows if row["track_id"] == track])
    )


def track(track_id: str, source: str, title: str | None = None, artist: str = "", **more: Any) -> dict[str, Any]:
    row = {"track_id": track_id, "format": source, "source_at": at(0), "title": title}
    return row | {"artist_ids": [artist] if artist else None} | more


TRACKS = [
    track("f1", "music_folder", "Café (feat. Y)", "x", duration_ms=200_000, styles=["rock"], audio_path="f1.mp3"),
    track("l1", "mapped_csv", "CAFE\u0301", "x"),  # without a length
    track("f2", "music_folder", "Long", "x", duration_ms=200_000, audio_path=f"{'a' * 16}:long.mp3"),
    track("g2", "music_folder", "Long", "x", duration_ms=199_000, audio_path=f"{'0' * 16}:long.flac"),  # another folder
    track("l2", "lastfm_1k", "long", "x2", duration_ms=203_000),  # another artist id of the same name
    track("f3", "music_folder", "Edit", "x", duration_ms=200_000),
    track("l3", "mapped_csv", "Edit", "x", duration_ms=260_000),
    track("f4", "music_folder", "Twice", "x", duration_ms=100_000),
    track("f5", "music_folder", "Twice", "x", duration_ms=300_000),
    track("l4", "mapped_csv", "Twice", "x"),
    track("f6", "music_folder", "machine_wars", duration_ms=290_000),
    track("l6", "mapped_csv", "Machine Wars", "z"),
    track("o7", "own_events", "Other name", "x", recording_id="USRC17607839"),
    track("f7", "music_folder", "Seven", "x", recording_id="US-RC1-76-07839"),
    track("l7", "mapped_csv", "Seven", "x"),  # follows f7 to o7
    track("f8", "music_folder", "Eight", "x", recording_id=MBID.upper()),
    track(MBID, "listenbrainz", "8", "z"),  # the track id is the recording id
    track("o9", "own_events", "Nine", "x", recording_id="17"),
    track("o9b", "own_events", "Nine", "x", recording_id="17"),  # two releases in one catalog
    track("17", "mapped_csv", "Seventeen", "z"),  # not an id of recordings
    track("f9", "music_folder", "Encodings", "y", duration_ms=100_000),
    track("f9b", "music_folder", "Encodings", "y", duration_ms=100_200),
    track("l9", "mapped_csv", "Encodings", "y"),
    track("f10", "music_folder", "Ten", "x"),
    track("l10", "mapped_csv", "Ten", "x"),  # wrong: undone below
    track("l11", "mapped_csv", "Eleven", "z"),  # matched below
    track("f12", "music_folder", "silence"),
    track("l12", "mapped_csv", "Silence", "z"),
    track("l12b", "mapped_csv", "SILENCE!", "z"),  # as the log spells it in two ways
    track("f13", "music_folder", "intro"),
    track("l13", "mapped_csv", "Intro", "z"),
    track("l13b", "mapped_csv", "Intro", "y"),
    track("f14", "music_folder", "Halo", "y", duration_ms=200_000),
    track("f14b", "music_folder", "Halo (2011 Remaster)", "y", duration_ms=250_000),
    track("l14", "mapped_csv", "Halo (with Bob)", "y"),
    track("l1b", "mapped_csv", "Cafe (with Y)", "x"),
    track("l14b", "mapped_csv", "halo - remastered 2011", "y", duration_ms=252_000),
    track("l14c", "mapped_csv", "Halo - Remastered 2014", "y", duration_ms=204_000),
]  # fmt: skip
ALIASES = [
    (MBID, "f8", "recording"),
    ("f7", "o7", "recording"),
    ("g2", "f2", "name"),
    ("l1", "f1", "name"),
    ("l11", "f10", "hand"),
    ("l2", "f2", "name"),
    ("l6", "f6", "title"),
    ("l9", "f9", "name"),
    ("l12", "f12", "title"),
    ("l12b", "f12", "title"),
    ("l14b", "f14b", "name"),
    ("l14c", "f14", "name"),
    ("l1b", "f1", "name"),
    ("l7", "o7", "name"),
]
CONFLICTS = [("l14", "f14", "ambiguous"), ("l3", "f3", "length"), ("l4", "f4", "ambiguous")]


NAMES = {"x": "The X!", "x2": "the x", "y": "Y", "z": "Z"}
ALBUMS = [
    {"album_id": "1", "title": "New", "format": "mapped_csv", "source_at": at(9), "landed_at": at(10)},
    {"album_id": "1", "title": "Old", "format": "mapped_csv", "source_at": at(1), "landed_at": at(20)},
]
SOURCES = {
    "albums": ALBUMS,
    "tracks": TRACKS,
    "artists": [{"artist_id": artist_id, "name": name} for artist_id, name in NAMES.items()],
    "track_matches": [{"track_id": "l10", "same_as_id": "l10"}, {"track_id": "f10", "same_as_id": "l11"}],
    "listening_events": [
        event(f"merged{place}", "merger", "play", row["track_id"], 600 + 4 * place, played_ms=99_000)
        for place, row in enumerate(TRACKS)
    ],
    "playlists": [{"playlist_id": "merged", "source": "ugc", "track_ids": ["l6", "f1", "l1"]}],
    "mlogs": [{"mlog_id": "merged", "track_ids": ["l6"]}, {"mlog_id": "empty", "track_ids": []}],
    "track_comments": [{"comment_id": "merged", "track_id": "l1", "text": "good"}],
    "knowledge_triples": [{"head": "track:l1", "relation": "covers", "tail": "track:l2"}],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home: Path = tmp_path_factory.mktemp("sources")
    write_empty_tables(home)
    for table, rows in SOURCES.items():
        write(home, table, "2026-06-01", "a", rows)
    built(home, "--exclude-resource-type", "unit_test", tests=True)  # test_marts.py runs unit tests
    return home


@pytest.mark.parametrize(
    ("name", "columns", "expected"),
    [
        ("track_aliases", "*", sorted(ALIASES)),
        ("track_conflicts", "*", CONFLICTS),
        ("albums", "album_id, title", [("1", "New")]),  # of the newest source
        ("playlists", "track_ids", [(["f6", "f1", "f1"],)]),
        ("mlogs", "track_ids", [([],), (["f6"],)]),
        ("track_comments", "track_id", [("f1",)]),
    ],
    ids=["aliases", "conflicts", "albums", "playlists", "mlogs", "comments"],
)
def test_marts_name_tracks_by_their_canonical_ids(
    home: Path, name: str, columns: str, expected: list[tuple[Any, ...]]
) -> None:
    assert mart(home, name, columns) == expected


def test_tracks_plays_and_triples_have_the_canonical_ids(home: Path) -> None:
    aliases = {alias: track_id for alias, track_id, _ in ALIASES}
    tracks = sorted({aliases.get(row["track_id"], row["track_id"]) for row in TRACKS})
    assert [row for (row,) in mart(home, "tracks", "track_id")] == tracks
    assert sorted({row for (row,) in mart(home, "plays", "track_id")}) == tracks
    merged = {row[0]: row[1:] for row in mart(home, "tracks", "track_id, title, styles, audio_path")}
    assert merged["f1"] == ("Café (feat. Y)", ["rock"], "f1.mp3")
    assert ("track:f1", "covers", "track:f2") in mart(home, "knowledge_triples")
