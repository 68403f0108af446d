"""`api.Relation` for sqlfluff, which renders models without dbt."""

from __future__ import annotations


class Relation:
    """Relations by their identifier."""

    @staticmethod
    def create(identifier: str, **_: str) -> str:
        """The identifier."""
        return identifier
