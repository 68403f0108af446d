"""`target` for sqlfluff, which renders models without dbt."""

database = "warehouse"
schema = "main"
