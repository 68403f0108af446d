with

triples as (

    select * from {{ ref("int_knowledge_triples_joined") }}

)

select * from triples
