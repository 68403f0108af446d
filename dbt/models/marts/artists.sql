with

artists as (

    select * from {{ ref("stg_artists") }}

),

triples as (

    select * from {{ ref("int_knowledge_triples_joined") }}

),

genres as (

    select
        head,
        list(substr(tail, length('genre:') + 1) order by tail) as genres
    from triples
    where relation = 'has_genre' and starts_with(head, 'artist:') and starts_with(tail, 'genre:')
    group by head

),

final as (

    select
        artists.artist_id,
        artists.name,
        coalesce(genres.genres, []) as genres
    from artists
    left join genres on genres.head = 'artist:' || artists.artist_id

)

select * from final
