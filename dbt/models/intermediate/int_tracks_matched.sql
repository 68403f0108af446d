-- Each track is matched with a track of a preferred source (`source_rank`), so that matches form no circle.
with

landed as (

    select * from {{ ref("stg_tracks") }}

),

artists as (

    select * from {{ ref("int_artist_names_normalized") }}

),

by_hand as (

    select * from {{ ref("stg_track_matches") }}

),

-- Names are not normalized if there is nothing to match.
sources as (

    select count(distinct source_rank) as number_of_sources from landed

),

-- What each kind of source states.
stated as (

    select
        track_id,
        source_rank,
        {{ newest_value("recording_id") }} as recording_id,
        {{ newest_value("title") }} as title,
        {{ newest_value("artist_ids") }} as artist_ids,
        {{ newest_value("duration_ms") }} as duration_ms
    from landed
    cross join sources
    where number_of_sources > 1
    group by track_id, source_rank

),

folded as (

    select
        stated.track_id,
        stated.source_rank,
        stated.recording_id,
        artists.folded_name as artist,
        {{ normalize_name("stated.title") }} as title,
        max(stated.source_rank) over (partition by stated.track_id) as track_rank,
        coalesce(stated.duration_ms, max(stated.duration_ms) over (partition by stated.track_id)) as duration_ms
    from stated
    left join artists on {{ list_first("stated.artist_ids") }} = artists.artist_id

),

named as (

    select
        track_id,
        track_rank,
        source_rank,
        recording_id,
        duration_ms,
        {{ match_key("artist") }} as artist,
        {{ match_key("title") }} as full_title,
        {{ match_key(without_edition("title")) }} as title
    from folded

),

-- Some sources use the id of the recording as the track's.
recordings as (

    select
        track_id,
        track_rank,
        {{ global_recording_id("track_id") }} as recording
    from named

    union

    select
        track_id,
        track_rank,
        {{ global_recording_id("recording_id") }} as recording
    from named
    where recording_id is not null

),

same_recordings as (

    select
        alias.track_id as alias_id,
        same.track_id,
        same.track_rank
    from recordings as alias
    inner join recordings as same on alias.recording = same.recording and alias.track_rank < same.track_rank
    where alias.recording <> ''

),

-- Difference of the lengths; null if one is unknown.
same_names as (

    select
        alias.track_id as alias_id,
        same.track_id,
        same.track_rank,
        max(case when alias.full_title = same.full_title then 1 else 0 end) as has_full_title,
        min(abs(alias.duration_ms - same.duration_ms)) as difference_ms,
        min(same.duration_ms) as duration_ms
    from named as alias
    inner join named as same
        on alias.artist = same.artist and alias.title = same.title and alias.track_rank < same.track_rank
    group by alias.track_id, same.track_id, same.track_rank

),

-- Remasters are candidates for titles that the source does not have.
ranked as (

    select
        *,
        max(has_full_title) over (partition by alias_id, track_rank) as has_any_full_title
    from same_names

),

-- A source may have a song in several encodings, of equal lengths.
compared as (

    select
        *,
        coalesce(difference_ms <= {{ var("track_match_tolerance_ms") }}, false) as has_same_length,
        difference_ms is null
        and (
            count(*) over candidates = 1
            or (
                count(duration_ms) over candidates = count(*) over candidates
                and max(duration_ms) over candidates - min(duration_ms) over candidates
                <= {{ var("track_match_tolerance_ms") }}
            )
        ) as is_only_one
    from ranked
    where has_full_title = has_any_full_title
    window candidates as (partition by alias_id, track_rank)

),

-- A file without tags has no artist: the title decides if neither source has it of two artists. A log may have several
-- tracks of one artist and title, as it spells them in several ways.
titled as (

    select
        *,
        coalesce(
            min(track_id) over same_title = max(track_id) over same_title
            or (
                min(artist) over same_title = max(artist) over same_title
                and count(artist) over same_title = count(*) over same_title
            ),
            false
        ) as is_one_song
    from named
    where title is not null
    window same_title as (partition by source_rank, title)

),

same_titles as (

    select
        alias.track_id as alias_id,
        same.track_id,
        same.track_rank,
        coalesce(abs(alias.duration_ms - same.duration_ms), 0) as difference_ms
    from titled as alias
    inner join titled as same on alias.title = same.title and alias.track_rank < same.track_rank
    where
        alias.is_one_song
        and same.is_one_song
        and (alias.artist is null or same.artist is null)
        and coalesce(abs(alias.duration_ms - same.duration_ms) <= {{ var("track_match_tolerance_ms") }}, true)

),

ranks as (

    select
        track_id,
        max(source_rank) as track_rank
    from stated
    group by track_id

),

corrections as (

    select
        by_hand.track_id,
        by_hand.same_as_id,
        coalesce(ranks.track_rank, '') as track_rank,
        coalesce(same.track_rank, '') as same_as_rank
    from by_hand
    left join ranks on by_hand.track_id = ranks.track_id
    left join ranks as same on by_hand.same_as_id = same.track_id
    where by_hand.track_id <> by_hand.same_as_id

),

separate as (

    select track_id from by_hand
    where track_id = same_as_id

),

directed as (

    select
        *,
        same_as_rank > track_rank or (same_as_rank = track_rank and same_as_id < track_id) as is_alias
    from corrections

),

candidates as (

    select
        case when is_alias then track_id else same_as_id end as alias_id,
        case when is_alias then same_as_id else track_id end as track_id,
        '' as track_rank,
        'hand' as matched_by,
        cast(null as string) as conflict,
        0 as evidence,
        0 as difference_ms
    from directed

    union all

    select
        alias_id,
        track_id,
        track_rank,
        'recording' as matched_by,
        cast(null as string) as conflict,
        1 as evidence,
        0 as difference_ms
    from same_recordings

    union all

    select
        alias_id,
        track_id,
        track_rank,
        case when has_same_length or is_only_one then 'name' end as matched_by,
        case
            when has_same_length or is_only_one then null
            when difference_ms is null then 'ambiguous'
            else 'length'
        end as conflict,
        case
            when has_same_length then 2
            when is_only_one then 3
            else 5
        end as evidence,
        coalesce(difference_ms, 0) as difference_ms
    from compared

    union all

    select
        alias_id,
        track_id,
        track_rank,
        'title' as matched_by,
        cast(null as string) as conflict,
        4 as evidence,
        difference_ms
    from same_titles

),

numbered as (

    select
        *,
        row_number() over (
            partition by alias_id order by evidence asc, track_rank desc, difference_ms asc, track_id asc
        ) as candidate_number
    from candidates
    where alias_id not in (select separate.track_id from separate)

),

final as (

    select
        alias_id,
        track_id,
        matched_by,
        conflict
    from numbered
    where candidate_number = 1

)

select * from final
