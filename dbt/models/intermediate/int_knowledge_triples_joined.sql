with

landed as (

    select * from {{ ref("stg_knowledge_triples") }}

),

artists as (

    select * from {{ ref("int_artists_named") }}

),

tracks as (

    select * from {{ ref("stg_tracks") }}

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

-- Some sources know an artist by name only. A name that several artists bear speaks of each of them.
named as (

    select
        relation,
        tail,
        {{ fold_name("substr(head, length('artist_name:') + 1)") }} as folded_name
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

of_catalogue as (

    select
        'track:' || track_id as head,
        'performed_by' as relation,
        'artist:' || artist_id as tail
    from tracks
    {{ each_of("artist_ids", "artist_ids_of_track", "artist_id") }}

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
    {{ each_of("track_ids", "tracks_of_playlist", "track_id") }}

    union all

    select
        'track:' || track_id as head,
        'has_language' as relation,
        'language:' || language as tail
    from tracks
    {{ each_of("languages", "languages_of_track", "language") }}

    union all

    select
        'track:' || track_id as head,
        'has_style' as relation,
        'style:' || style as tail
    from tracks
    {{ each_of("styles", "styles_of_track", "style") }}

    union all

    select
        'track:' || track_id as head,
        'has_scene' as relation,
        'scene:' || scene as tail
    from tracks
    {{ each_of("scenes", "scenes_of_track", "scene") }}

    union all

    select
        'track:' || track_id as head,
        'has_emotion' as relation,
        'emotion:' || emotion as tail
    from tracks
    {{ each_of("emotions", "emotions_of_track", "emotion") }}

    union all

    select
        'track:' || track_id as head,
        'has_theme' as relation,
        'theme:' || theme as tail
    from tracks
    {{ each_of("themes", "themes_of_track", "theme") }}

),

joined as (

    select * from curated

    union

    select * from identified

    union

    select * from of_catalogue

)

select * from joined
