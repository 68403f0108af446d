{# Publishing of changes, on DuckDB only: a build that continues a large mart does not write it whole, but the rows that it
   deleted and inserted, as `marts/changes/<mart>/<previous version>-<version>.parquet`. Readers of the whole mart apply
   them first, others read them alone (`storage/mart_changes.py`). The version of a whole file is in its footer, so that
   each rename is atomic. While a build runs, the rows are in the tables `<mart>_deleted` and `<mart>_inserted`. #}

{# True if the changes of a mart may be published: a continued model whose table has enough rows. #}
{% macro may_publish_changes(node) -%}
    {%- if env_var("SEGUE_TABLES", "") or node.config.materialized != "incremental" or "sorted_by" not in node.config.meta -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set rows = run_query("select count(*) from " ~ state_table(node.alias)).rows[0][0] -%}
    {{ return(rows >= var("publish_changes_min_rows")) }}
{%- endmacro %}

{% macro has_table(name) -%}
    {%- set query = "select count(*) from duckdb_tables() where table_name = '" ~ name ~ "'" -%}
    {{ return(run_query(query).rows[0][0] > 0) }}
{%- endmacro %}

{# Remember the inserted rows if the deleted ones were remembered. This overrides dbt's statement of the strategy `append`. #}
{% macro duckdb__get_incremental_append_sql(arg_dict) -%}
    {{ default__get_incremental_append_sql(arg_dict) }}
    {%- if has_table(arg_dict["target_relation"].identifier ~ "_deleted") %}
    ;
    create or replace table {{ state_table(arg_dict["target_relation"].identifier ~ "_inserted") }} as
    select * from {{ arg_dict["temp_relation"] }}
    {%- endif -%}
{%- endmacro %}

{# Drop the tables with the changes of this build. #}
{% macro drop_changes(node) -%}
    {%- for suffix in ["_deleted", "_inserted"] if node.config.materialized == "incremental" -%}
        {%- do run_query("drop table if exists " ~ state_table(node.alias ~ suffix)) -%}
    {%- endfor -%}
{%- endmacro %}

{% macro record_published(name, version) -%}
    {%- do run_query("delete from " ~ state_table("published_marts") ~ " where name = '" ~ name ~ "'") -%}
    {%- do run_query("insert into " ~ state_table("published_marts") ~ " values ('" ~ name ~ "', '" ~ version ~ "')") -%}
{%- endmacro %}

{# Versions of a published mart in their order: that of the whole file, then one per change file; empty if the whole file
   has none. #}
{% macro published_versions(folder, name) -%}
    {%- set path = folder ~ "/" ~ name ~ ".parquet" -%}
    {%- set versions = [] -%}
    {%- if run_query("select count(*) from glob('" ~ path ~ "')").rows[0][0] -%}
        {%- set whole = run_query(
            "select decode(value) from parquet_kv_metadata('" ~ path ~ "') where decode(key) = 'version'"
        ) -%}
        {%- do versions.extend(whole.columns[0].values()) -%}
    {%- endif -%}
    {%- set changes = run_query(
        "select parse_filename(file, true) from glob('" ~ folder ~ "/changes/" ~ name ~ "/[0-9]*-[0-9]*.parquet') order by 1"
    ) -%}
    {%- for name in changes.columns[0].values() if versions and name.split("-")[0] == versions[-1] -%}
        {%- do versions.append(name.split("-")[1]) -%}
    {%- endfor -%}
    {{ return(versions) }}
{%- endmacro %}

{# Publish the changes of a mart; false if it must be published whole: its changes are not known, its published version is not
   the one that this build continued, most rows have changed, or too many changes would be pending. #}
{% macro publish_changes(node, folder, version) -%}
    {%- if not may_publish_changes(node) or build_state() is none or not has_table(node.alias ~ "_inserted") -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set recorded = run_query("select version from " ~ state_table("published_marts") ~ " where name = '" ~ node.name ~ "'") -%}
    {%- set versions = published_versions(folder, node.name) -%}
    {%- if not versions or [versions[-1]] != recorded.columns[0].values() | list or versions | length > var("publish_changes_max_pending") -%}
        {{ return(false) }}
    {%- endif -%}
    {#- Rows that were computed again with the same result are no change. The two tables may order their columns differently.
        The adapter's own method would begin a transaction, which no hook at the end of a run commits. -#}
    {%- set columns = run_query("describe " ~ state_table(node.alias)).columns[0].values() | join(", ") -%}
    {%- set deleted = "select " ~ columns ~ " from " ~ state_table(node.alias ~ "_deleted") -%}
    {%- set inserted = "select " ~ columns ~ " from " ~ state_table(node.alias ~ "_inserted") -%}
    {%- set changes -%}
        (
            select true as is_deleted, * from ({{ deleted }} except all {{ inserted }})
            union all
            select false as is_deleted, * from ({{ inserted }} except all {{ deleted }})
        )
    {%- endset -%}
    {%- do run_query("create or replace temporary table " ~ node.alias ~ "_changes as from " ~ changes) -%}
    {%- set rows = run_query("select count(*) from " ~ state_table(node.alias)).rows[0][0] -%}
    {%- set changed = run_query("select count(*) from " ~ node.alias ~ "_changes").rows[0][0] -%}
    {%- if changed > rows * var("publish_changes_max_share") -%}
        {{ return(false) }}
    {%- endif -%}
    {%- if changed -%}
        {%- do create_folder(folder ~ "/changes") -%}
        {%- do create_folder(folder ~ "/changes/" ~ node.name) -%}
        {%- do run_query(
            "copy (select * from " ~ node.alias ~ "_changes order by " ~ node.config.meta.sorted_by | join(", ") ~ ", is_deleted desc) to '"
            ~ folder ~ "/changes/" ~ node.name ~ "/" ~ versions[-1] ~ "-" ~ version
            ~ ".parquet' (format parquet, compression zstd, use_tmp_file true, kv_metadata {key: '"
            ~ node.config.meta.sorted_by | join(",") ~ "'})"
        ) -%}
        {%- do record_published(node.name, version) -%}
    {%- endif -%}
    {%- do run_query("drop table " ~ node.alias ~ "_changes") -%}
    {{ return(true) }}
{%- endmacro %}
