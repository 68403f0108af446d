"""What the last validation of the marts covered, so that the next one reads only the rows that were published since.

Of a large mart a build publishes the rows that it deleted and inserted (`storage/mart_changes.py`). After a validation that
passed, only the inserted rows are validated, and metrics over time are those of the last validation plus the changes. All
recent rows (`tables.recent_rows`) are validated after a build from all events, after a failed validation, if the suites have
changed, and once in `FULL_INTERVAL_DAYS` days.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

from event_store import behaviours, contract
from quality import suites, table_metrics
from quality.engine import Engine
from quality.table_metrics import DayCounts
from storage import mart_changes, object_store
from storage.files import read_json

FULL_INTERVAL_DAYS = 7
KEPT_DAYS = 28
"""Days whose counts are kept: the newest day may be removed, and then another week is compared."""


@dataclass(frozen=True)
class ValidatedMart:
    """One version of a mart that passed its suite."""

    version: str
    fully_validated: str  # `as_of` of the last validation of all recent rows, ISO date
    newest_us: int | None = None  # newest `ended_at`; None: the suite has no metrics over time
    counts: list[tuple[int, str | None, int | None, int]] = field(default_factory=list)  # `DayCounts` and their numbers

    @property
    def day_counts(self) -> DayCounts:
        """The counts by day, action and length."""
        return {(day, action, length): count for day, action, length, count in self.counts}


class ValidatedMarts:
    """The versions that passed, stored in a file.

    Args:
        file: The file; it is written by `save`.
        as_of: First unknown day of this validation.
    """

    def __init__(self, file: Path, as_of: date) -> None:
        self._file, self._as_of = file, as_of
        definitions = b"".join(Path(str(module.__file__)).read_bytes() for module in (suites, behaviours, contract))
        self._definition = hashlib.sha256(definitions).hexdigest()
        self._marts: dict[str, ValidatedMart] = {}
        content = read_json(file)
        if content.get("definition") == self._definition:
            self._marts = {name: ValidatedMart(**mart) for name, mart in content["marts"].items()}

    def find_changes(self, marts: Path, name: str) -> tuple[ValidatedMart, tuple[Path, ...]] | None:
        """The version that passed and the change files since then; None if all recent rows must be validated."""
        known = self._marts.get(name)
        if (
            known is None
            or not 0 <= (self._as_of - date.fromisoformat(known.fully_validated)).days < FULL_INTERVAL_DAYS
        ):
            return None
        files = mart_changes.changes_since(marts, name, known.version)
        return (known, files) if files else None

    def record(
        self, marts: Path, name: str, known: ValidatedMart | None, newest_us: int | None, counts: DayCounts
    ) -> None:
        """Record that the published version passed; `known`: the version whose changes were validated, None: all rows."""
        version = mart_changes.read_published(marts, name).newest_version
        if version is None:
            self.forget(name)
            return
        first = max((day for day, _, _ in counts), default=0) - KEPT_DAYS
        kept = [(*key, count) for key, count in counts.items() if key[0] > first]
        day = known.fully_validated if known else self._as_of.isoformat()
        self._marts[name] = ValidatedMart(version, day, newest_us, kept)

    def forget(self, name: str) -> None:
        """All recent rows of the mart must be validated next time."""
        self._marts.pop(name, None)

    def save(self) -> None:
        """Write the file."""
        marts = {name: asdict(mart) for name, mart in self._marts.items()}
        content = json.dumps({"definition": self._definition, "marts": marts})
        object_store.write(self._file, content.encode())


def add_changes(engine: Engine, known: ValidatedMart, files: Sequence[Path]) -> tuple[int | None, DayCounts] | None:
    """(newest `ended_at`, counts by day) after the changes; None if the newest row was deleted, so that all must be read."""
    changes = mart_changes.all_changes(files)
    signed = table_metrics.count_days(engine, changes, "sum(case when is_deleted then -1 else 1 end)")
    inserted, deleted = (
        table_metrics.newest_end(engine, f"(select ended_at from {changes} where {condition})")  # noqa: S608
        for condition in ("not is_deleted", "is_deleted")
    )
    if table_metrics.is_newest_deleted(known.newest_us, inserted, deleted):
        return None
    newest = max((time for time in (known.newest_us, inserted) if time is not None), default=None)
    counts = Counter(known.day_counts)
    counts.update(signed)
    return newest, {key: count for key, count in counts.items() if count}
