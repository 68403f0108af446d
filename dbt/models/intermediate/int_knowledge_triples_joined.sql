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
    where not starts_with(head, 'artist_name:')

),

-- Some sources know an artist by name only. A name that several artists bear speaks of each of them.
named as (

    select
        relation,
        tail,
        {{ fold_name("substr(head, length('artist_name:') + 1)") }} as folded_name
    from landed
    where starts_with(head, 'artist_name:')

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
        'artist:' || unnest(artist_ids) as tail
    from tracks

    union all

    select
        'track:' || track_id as head,
        'on_album' as relation,
        'album:' || album_id as tail
    from tracks
    where album_id is not null

    union all

    select
        'track:' || unnest(track_ids) as head,
        'in_playlist' as relation,
        'playlist:' || playlist_id as tail
    from playlists

    union all

    select
        'track:' || track_id as head,
        'has_language' as relation,
        'language:' || unnest(languages) as tail
    from tracks

    union all

    select
        'track:' || track_id as head,
        'has_style' as relation,
        'style:' || unnest(styles) as tail
    from tracks

    union all

    select
        'track:' || track_id as head,
        'has_scene' as relation,
        'scene:' || unnest(scenes) as tail
    from tracks

    union all

    select
        'track:' || track_id as head,
        'has_emotion' as relation,
        'emotion:' || unnest(emotions) as tail
    from tracks

    union all

    select
        'track:' || track_id as head,
        'has_theme' as relation,
        'theme:' || unnest(themes) as tail
    from tracks

),

joined as (

    select * from curated

    union

    select * from identified

    union

    select * from of_catalogue

)

select * from joined
