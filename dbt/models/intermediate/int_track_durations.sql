with

tracks as (

    select * from {{ ref("int_tracks_merged") }}

),

plays as (

    select * from {{ ref("int_plays_split") }}

),

events as (

    select * from {{ ref("int_events_ordered") }}

),

-- Tracks of the catalog, and tracks that only occur in events.
all_tracks as (

    select track_id from tracks

    union

    select target_id as track_id
    from events
    where target_type = 'track'

),

-- Nothing is estimated, and no play is read, if all lengths are known.
unknown as (

    select all_tracks.track_id
    from all_tracks
    left join tracks on all_tracks.track_id = tracks.track_id
    where tracks.duration_ms is null
    order by all_tracks.track_id
    limit 1

),

-- Unknown lengths are estimated by a high percentile of the played durations, because most plays stop before the end
-- and a few continue after it. Only the train part is used. Ranks by window function can spill to disk; a quantile
-- aggregate would keep every play in memory.
ranked as (

    select
        plays.track_id,
        plays.played_ms,
        row_number() over (partition by plays.track_id order by plays.played_ms) as play_rank,
        count(*) over (partition by plays.track_id) as plays
    from plays
    cross join unknown
    where plays.part = 'train' and plays.played_ms is not null

),

estimated as (

    select
        track_id,
        played_ms as duration_ms
    from ranked
    where play_rank = {{ integer_divide("(19 * plays + 19)", 20) }}

),

-- Tracks without plays in the train part get the median length, because a null would make their plays differ from all
-- training examples.
typical as (

    select cast(percentile_disc(0.5) within group (order by duration_ms) as bigint) as duration_ms
    from estimated

),

measured as (

    select
        all_tracks.track_id,
        {{ list_first("tracks.artist_ids") }} as artist_id,
        coalesce(tracks.duration_ms, estimated.duration_ms, typical.duration_ms) as duration_ms,
        tracks.duration_ms is null as is_duration_estimated
    from all_tracks
    left join tracks on all_tracks.track_id = tracks.track_id
    left join estimated on all_tracks.track_id = estimated.track_id
    cross join typical

)

select * from measured
