with

playlists as (

    select * from {{ ref("stg_playlists") }}

)

select * from playlists
