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
        {{ ordered_list_agg("substr(tail, length('genre:') + 1)", "tail") }} as genres
    from triples
    where
        relation = 'has_genre'
        and substr(head, 1, length('artist:')) = 'artist:'
        and substr(tail, 1, length('genre:')) = 'genre:'
    group by head

),

final as (

    select
        artists.artist_id,
        artists.name,
        coalesce(genres.genres, {{ list_literal() }}) as genres
    from artists
    left join genres on genres.head = 'artist:' || artists.artist_id

)

select * from final
