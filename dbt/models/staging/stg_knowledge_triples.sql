with

source as (

    select * from {{ landed_relation("knowledge_triples") }}

),

aliases as (

    select
        'track:' || alias_id as alias_node,
        'track:' || track_id as node
    from {{ ref("int_track_aliases") }}

),

deduplicated as (

    select distinct
        coalesce(heads.node, source.head) as head,
        source.relation,
        coalesce(tails.node, source.tail) as tail

    from source
    left join aliases as heads on source.head = heads.alias_node
    left join aliases as tails on source.tail = tails.alias_node

)

select * from deduplicated
