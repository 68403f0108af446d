with

source as (

    select * from {{ landed_relation("knowledge_triples") }}

),

deduplicated as (

    select distinct
        head,
        relation,
        tail

    from source

)

select * from deduplicated
