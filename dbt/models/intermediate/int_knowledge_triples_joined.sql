with

landed as (

    select * from {{ ref("stg_knowledge_triples") }}

),

artists as (

    select * from {{ ref("int_artist_names_normalized") }}

),

tracks as (

    select * from {{ ref("int_tracks_merged") }}

),

playlists as (

    select * from {{ ref("stg_playlists") }}

),

curated as (

    select
        head,
        relation,
        tail
    from landed
    where substr(head, 1, length('artist_name:')) <> 'artist_name:'

),

-- Some sources identify artists by name only. If several artists have the same name, the triple applies to all of them.
named as (

    select
        relation,
        tail,
        {{ normalize_name("substr(head, length('artist_name:') + 1)") }} as folded_name
    from landed
    where substr(head, 1, length('artist_name:')) = 'artist_name:'

),

identified as (

    select distinct
        'artist:' || artists.artist_id as head,
        named.relation,
        named.tail
    from named
    inner join artists on named.folded_name = artists.folded_name

),

catalog_triples as (

    select
        'track:' || track_id as head,
        'performed_by' as relation,
        'artist:' || artist_id as tail
    from tracks
    {{ unnest_list("artist_ids", "artist_ids_of_track", "artist_id") }}

    union all

    select
        'track:' || track_id as head,
        'on_album' as relation,
        'album:' || album_id as tail
    from tracks
    where album_id is not null

    union all

    select
        'track:' || track_id as head,
        'in_playlist' as relation,
        'playlist:' || playlist_id as tail
    from playlists
    {{ unnest_list("track_ids", "tracks_of_playlist", "track_id") }}

    union all

    select
        'track:' || track_id as head,
        'has_language' as relation,
        'language:' || language as tail
    from tracks
    {{ unnest_list("languages", "languages_of_track", "language") }}

    union all

    select
        'track:' || track_id as head,
        'has_style' as relation,
        'style:' || style as tail
    from tracks
    {{ unnest_list("styles", "styles_of_track", "style") }}

    union all

    select
        'track:' || track_id as head,
        'has_scene' as relation,
        'scene:' || scene as tail
    from tracks
    {{ unnest_list("scenes", "scenes_of_track", "scene") }}

    union all

    select
        'track:' || track_id as head,
        'has_emotion' as relation,
        'emotion:' || emotion as tail
    from tracks
    {{ unnest_list("emotions", "emotions_of_track", "emotion") }}

    union all

    select
        'track:' || track_id as head,
        'has_theme' as relation,
        'theme:' || theme as tail
    from tracks
    {{ unnest_list("themes", "themes_of_track", "theme") }}

),

joined as (

    select * from curated

    union

    select * from identified

    union

    select * from catalog_triples

)

select * from joined
