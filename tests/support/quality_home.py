"""A handmade home folder with valid marts and a valid landing zone."""

from __future__ import annotations

from pathlib import Path

import duckdb

AS_OF = "2026-06-10"

# Five thousand events per day for eight days: enough to compare a day with the preceding week.
EVENTS = """
    select
        'e' || i as event_id,
        'u' || i % 50 as user_id,
        i // 50 as event_number,
        timestamp '2026-06-02' + interval (i * 17) second as ended_at,
        timestamp '2026-06-02' + interval (i * 17) second as known_at,
        timestamp '2026-06-02' + interval (i * 17 - 60) second as request_at,
        timestamp '2026-06-02' + interval (i * 17 - 60) second as occurred_at,
        i as sequence_number,
        if(i % 10 = 0, 'like', 'play') as action,
        if(i % 10 = 0, 'like', 'full_play') as behavior,
        'track' as target_type,
        't' || i % 7 as target_id,
        if(i % 10 = 0, null, 60000 + i % 5 * 30000) as played_ms,
        if(i % 10 = 0, null, 0.95::float) as played_ratio,
        null::integer as position,
        null::double as propensity
    from range(40000) as t(i)
"""
ROWS = {
    "behaviors": """
        select i + 1 as behavior_id, behavior, 'play' as action, 'positive' as polarity, false as is_explicit
        from (
            select unnest(['full_play', 'play', 'skip', 'click', 'impression_without_click', 'like', 'collect', 'share',
                'download', 'dislike', 'block']) as behavior, unnest(range(11)) as i
        )""",
    "plays": """
        select 'e' as event_id, 'u' as user_id, 0 as play_number, 't' as track_id, 'u-1' as session_id,
            true as is_listened, false as is_skip, true as is_full_play, 'full_play' as behavior, 'train' as part,
            1.0 as played_ratio, timestamp '2026-06-02' as request_at, timestamp '2026-06-03' as known_at""",
    "sessions": """
        select 'u-1' as session_id, 'u' as user_id, timestamp '2026-06-02' as started_at,
            timestamp '2026-06-03' as ended_at, 0 as first_play_number, 1 as plays, 'train' as part""",
    "impressions": """
        select 'i' as event_id, 'u' as user_id, 't' as target_id, 'track' as target_type,
            timestamp '2026-06-02' as shown_at, true as is_clicked, false as is_played, false as is_full_play,
            false as is_liked, 0 as position, 0.5 as propensity, 'train' as part""",
    "exposures": """
        select 'q-0' as event_id, 'q' as request_id, 'u' as user_id, 'daily' as scene, 'r' as release, 'r' as arm,
            timestamp '2026-06-02' as shown_at, 'track' as target_type, 't' as target_id, 0 as position,
            1.0 as propensity, false as is_exploration, 60000 as played_ms""",
    "online_metrics": """
        select date '2026-06-02' as shown_date, 'r' as release, 'daily' as scene, 'all' as channel, 1 as users,
            2 as requests, 6 as exposures, 4 as plays, 0.5 as finish_rate, 0.25 as skip_rate, 500.0 as likes_per_1000""",
    "likes": """
        select 'u' as user_id, 'track' as target_type, 't' as target_id, timestamp '2026-06-02' as liked_at
        where false""",
    "tracks": "select 't' as track_id, 1000 as duration_ms, true as is_in_catalog, false as is_duration_estimated",
    "artists": "select 'a' as artist_id, 'A' as name",
    "albums": "select 'l' as album_id",
    "playlists": "select 'p' as playlist_id, 'ugc' as source",
    "mlogs": "select 'm' as mlog_id",
    "track_aliases": "select 'm' as alias_id, 't' as track_id, 'recording' as matched_by",
    "track_conflicts": "select 's' as track_id, 't' as other_id, 'length' as conflict",
    "track_comments": "select 'c' as comment_id, 't' as track_id, 'fine' as text",
    "knowledge_triples": "select 'track:t' as head, 'performed_by' as relation, 'artist:a' as tail",
    "track_statistics": """
        select 't' as track_id, timestamp '2026-06-03' as known_at, 9 as plays_total, 8 as listens_total,
            7 as full_plays_total, 1 as skips_total, 0 as likes_total, 4 as plays_7d, 5 as plays_28d""",
    "user_profiles": """
        select 'u' as user_id, timestamp '2026-06-03' as known_at, 9 as plays_total, 8 as listens_total,
            7 as full_plays_total, 1 as skips_total, 3 as tracks_total, 2 as artists_total""",
    "excluded_user_days": """
        select 'bot' as user_id, date '2026-06-03' as event_date, 'actions_per_minute' as reason, 2000000 as events,
            2000000 as most_actions_per_minute""",
    "changed_users": "select 'u' as user_id, timestamp '2026-06-03' as from_time, 1 as build",
    "landings": """
        select 'l' as landing_id, 'play_log' as format, 9 as landed, 0 as quarantined,
            timestamp '2026-06-09' as landed_at""",
    "time_split": "select 'global_time' as split",
}


def write_mart(home: Path, name: str, query: str) -> None:
    """Publish the rows of a query as a mart."""
    (home / "marts").mkdir(parents=True, exist_ok=True)
    duckdb.sql(f"copy ({query}) to '{home}/marts/{name}.parquet' (format parquet)")


def write_landing(home: Path, query: str, monthly: bool = False) -> None:
    """Land the events of a query in partitions by day or month."""
    length = len("2026-06") if monthly else len("2026-06-01")
    (home / "landing").mkdir(parents=True, exist_ok=True)
    duckdb.sql(
        f"copy (select *, left(ended_at::varchar, {length}) as dt from ({query}))"
        f" to '{home}/landing/listening_events' (format parquet, partition_by (dt), overwrite true)"
    )


def write_home(home: Path) -> None:
    """Write valid landed events and all marts."""
    write_landing(home, EVENTS)
    write_mart(home, "events", EVENTS)
    for name, query in ROWS.items():
        write_mart(home, name, query)
