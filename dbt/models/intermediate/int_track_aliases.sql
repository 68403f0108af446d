-- A track may be matched with one that is matched itself. Each step doubles the number of matches that are followed.
with

followed_0 as (

    select
        alias_id,
        track_id,
        matched_by
    from {{ ref("int_tracks_matched") }}
    where matched_by is not null

)

{% for step in range(4) %},

followed_{{ step + 1 }} as (

    select
        matched.alias_id,
        coalesce(next.track_id, matched.track_id) as track_id,
        matched.matched_by
    from followed_{{ step }} as matched
    left join followed_{{ step }} as next on matched.track_id = next.alias_id

)
{% endfor %}

select * from followed_4
