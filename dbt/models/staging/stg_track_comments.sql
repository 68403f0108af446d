with

source as (

    select * from {{ source("landing", "track_comments") }}

),

newest as (

    select *
    from source
    qualify row_number() over (partition by comment_id order by landed_at desc, filename desc) = 1

),

renamed as (

    select
        comment_id,
        track_id,
        text,
        {{ utc("occurred_at") }} as occurred_at

    from newest

)

select * from renamed
