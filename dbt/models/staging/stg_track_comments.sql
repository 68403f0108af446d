with

source as (

    select * from {{ landed("track_comments") }}

),

numbered as (

    select
        *,
        row_number() over (partition by comment_id order by landed_at desc, filename desc) as place
    from source

),

renamed as (

    select
        comment_id,
        track_id,
        text,
        {{ utc("occurred_at") }} as occurred_at

    from numbered
    where place = 1

)

select * from renamed
