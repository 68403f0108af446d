"""CSV reader with a column mapping, and the Last.fm reader, which uses it, on files in their exact format."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.land import land
from ingestion.readers.parsing.named_plays import name_id
from ingestion.source_files import SourceError
from storage.files import atomic_write
from tests.support.log_sources import at, landed, landed_events, quarantined

LASTFM = "userid-timestamp-artid-artname-traid-traname.tsv"
LINES = [
    "user_000639\t2009-04-08T01:57:47Z\tmbid-1\tThe Dogs D'Amour\tmbid-9\tFall in Love Again?",
    "user_000639\t2009-04-08T01:53:56Z\tmbid-1\tThe Dogs D'Amour\tmbid-8\tWait Until I'm Dead",
    'user_000639\t2009-04-08T01:53:46Z\t\tSay "Hi"\t\tNo Ids',
    "user_000001\t2009-05-04T23:08:57Z\tmbid-2\tDeep Dish\t\tFuck Me Im Famous",
]
SAYS = """
file: plays.csv
columns: {user: who, time: when, title: song, artist: band, played: seconds, action: what}
played: s
actions: {heart: like, listened: play}
"""


def mapped(folder: Path, says: str, lines: list[str]) -> Path:
    atomic_write(folder / "segue-mapping.yaml", says)
    (folder / "plays.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_scrobbles_end_at_the_next_one_after_30_seconds_to_4_minutes(tmp_path: Path) -> None:
    log = tmp_path / "lastfm"
    atomic_write(log / LASTFM, "\n".join(LINES) + "\n")
    (log / "userid-profile.tsv").write_text("#id\tgender\tage\tcountry\tregistered\nuser_000639\tm\t\tMexico\t\n")
    land(log, tmp_path / "home")
    events = landed_events(tmp_path / "home", "user_id", "sequence_number")
    assert [(track, f"{began:%F %T}", f"{ended:%F %T}", played) for _, track, began, ended, _, played in events] == [
        (name_id("Deep Dish", "Fuck Me Im Famous"), "2009-05-04 23:08:57", "2009-05-04 23:12:57", 240_000),
        (name_id('Say "Hi"', "No Ids"), "2009-04-08 01:53:46", "2009-04-08 01:54:16", 30_000),  # ten seconds apart
        ("mbid-8", "2009-04-08 01:53:56", "2009-04-08 01:57:47", 231_000),
        ("mbid-9", "2009-04-08 01:57:47", "2009-04-08 02:01:47", 240_000),
    ]


def test_mapping_renames_columns(tmp_path: Path) -> None:
    lines = [
        "what,who,when,band,song,seconds",
        "listened,a,2020-01-01 10:00,Ghost,Cirice,12.5",
        "heart,a,2020-01-01T12:00:00+02:00,GHOST,cirice ,",
    ]
    land(mapped(tmp_path / "log", SAYS, lines), tmp_path / "home")
    play, like = landed_events(tmp_path / "home", "user_id", "sequence_number")
    assert play[2:] == (at("2020-01-01T10:00"), at("2020-01-01T10:00:12.500"), "play", 12_500)
    assert like[1] == play[1] and like[2:] == (at("2020-01-01T10:00"), at("2020-01-01T10:00"), "like", None)
    assert landed(tmp_path / "home", "tracks")["title"].to_list() == ["Cirice"]


def test_a_file_without_users_is_of_one_user_and_times_may_have_a_format(tmp_path: Path) -> None:
    says = "file: plays.csv\ncolumns: {time: day, title: song, artist: band}\ntime: '%d.%m.%Y %H:%M'\n"
    folder = mapped(tmp_path / "log", says, ["day,song,band", "2.3.2020 10:00,Cirice,Ghost", "2020-03-02,Cirice,Ghost"])
    land(folder, tmp_path / "home", user_id="me")
    assert landed_events(tmp_path / "home", "user_id")[0][2] == at("2020-03-02T10:00")
    assert landed(tmp_path / "home", "listening_events")["user_id"].to_list() == ["me"]
    assert quarantined(tmp_path / "home")["reason"].to_list() == ["time is not in the format %d.%m.%Y %H:%M"]


def test_exports_of_lastfm_need_no_mapping(tmp_path: Path) -> None:
    (folder := tmp_path / "lastfm").mkdir()
    header = '"uts","utc_time","artist","artist_mbid","album","album_mbid","track","track_mbid"'
    row = '"1577830200","31 Dec 2019, 22:10","Say ""Hi""","a-1","","","Comma, Song","t-1"'
    (folder / "scrobbles.csv").write_text(f"{header}\n{row}\n")
    (folder / "other.csv").write_text("Ghost,Meliora,Cirice,01 Jan 2020 10:00\nGhost,Meliora,Cirice,\n")
    counts = land(folder, tmp_path / "home", user_id="me")
    assert list(counts) == ["lastfm_export"] and counts["lastfm_export"].quarantined == 1  # still playing
    assert [row[2] for row in landed_events(tmp_path / "home", "occurred_at")] == [
        at("2019-12-31T22:10"),
        at("2020-01-01T10:00"),
    ]
    assert set(landed(tmp_path / "home", "tracks")["title"]) == {"Comma, Song", "Cirice"}
    (folder / "segue-mapping.yaml").write_text("file: other.csv\ncolumns: {user: u, time: t, track: x}")
    with pytest.raises(SourceError, match="has no column u"):
        land(folder, tmp_path / "other")


def test_likes_of_users_and_tracks_that_differ_in_case_are_different_events(tmp_path: Path) -> None:
    says = "file: plays.csv\ntime: s\nmeans: end\nplayed: ms\ncolumns: {user: u, time: t, track: x, played: p, action: what}\n"
    lines = ["u,t,x,p,what", *(f"{user},1600000000,{track},,like" for user in ("Ann", "ann") for track in ("aB", "ab"))]
    counts = land(mapped(tmp_path / "log", says, [*lines, lines[-1]]), tmp_path / "home")["mapped_csv"]
    assert counts.duplicate == 1 and counts.quarantined == 0
    assert len(landed_events(tmp_path / "home", "user_id", "sequence_number")) == 4


def test_invalid_rows_are_quarantined_with_their_reason(tmp_path: Path) -> None:
    lines = [
        "what,who,when,band,song,seconds",
        "listened,,2020-01-01 10:00,A,B,1",
        "danced,a,2020-01-01 10:00,A,B,1",
        "listened,a,2020-01-01 10:00,A,,1",
        "listened,a,2020-01-01 10:00,A,B,long",
        "listened,a,1820-01-01 10:00,A,B,1",
    ]
    counts = land(mapped(tmp_path / "log", SAYS, lines), tmp_path / "home")["mapped_csv"]
    assert (counts.landed, counts.quarantined) == (0, 5)
    reasons = quarantined(tmp_path / "home").sort("source_line")["reason"].to_list()
    expected = ["user is missing", "action danced is not one of", "no track", "played is not a number", "is before"]
    assert all(part in reason for part, reason in zip(expected, reasons, strict=True)), reasons


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("just words", "Input should be a valid dictionary"),
        ("file: [", "is not YAML"),
        (
            "file: plays.csv\ncolumns: {user: u, when: t}",
            "columns when [key]: String should match pattern '^(user|time|title|",
        ),
        ("file: plays.csv\ncolumns: {user: u, track: x}", "does not map time; add under columns: time: NAME"),
        ("file: plays.csv\ncolumns: {user: u, time: t, title: x}", "map track, or title and artist"),
        ("columns: {user: u, time: t, track: x}", "file: Field required"),
        (
            "file: plays.csv\ncolumns: {user: u, time: t, track: x}\ntime: days",
            "time: String should match pattern '^(iso|s|ms)$|%'",
        ),
        ("file: plays.csv\ncolumns: {user: u, time: t, track: x}\nmeans: end", "map played as well"),
        (
            "file: plays.csv\ncolumns: {user: u, time: t, track: x}\nactions: {a: dance}",
            "actions a: String should match pattern '^(impression|play|",
        ),
        (
            "file: plays.csv\ncolumns: {user: u, time: t, track: x}\nshape: round",
            "shape: Extra inputs are not permitted",
        ),
        ("file: other.csv\ncolumns: {user: u, time: t, track: x}", "but its folder has no such file; correct `file`"),
        ("file: plays.csv\ncolumns: {user: unknown_user, time: t, track: x}", "has no column unknown_user"),
    ],
)
def test_invalid_mapping_is_an_error_with_the_remedy(tmp_path: Path, says: str, message: str) -> None:
    with pytest.raises(SourceError) as refused:
        land(mapped(tmp_path / "log", says, ["u,t,x", "a,2020-01-01,t1"]), tmp_path / "home")
    assert message in str(refused.value)
