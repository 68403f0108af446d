with

artists as (

    select * from {{ ref("stg_artists") }}

),

named as (

    select
        artist_id,
        name,
        {{ normalize_name("name") }} as folded_name
    from artists

)

select * from named
