"""What each user was shown and did, summed by arm: all that a comparison of arms needs of the mart `exposures`.

Legend: A arms, U units. A unit is a user, or, where there are very many, a group of users. Knows nothing about intervals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from training.engine.workspace import MissingInput

COUNTS = ("exposures", "plays", "full_plays", "skips", "likes")
MAX_UNITS = 20_000
"""Bootstraps take 8 kB a unit. Users are independent of each other, and so are groups of them."""

QUERY = """
select
    arm,
    user_id,
    count(distinct request_id) as requests,
    count(*) as exposures,
    count(*) filter (is_played) as plays,
    count(*) filter (is_full_play) as full_plays,
    count(*) filter (is_skip) as skips,
    count(*) filter (is_liked) as likes,
    count(*) filter (not is_settled) as unsettled,
    list_sort(list_distinct(list(release))) as releases
from read_parquet($file)
where
    shown_at >= $since
    and shown_at < $until
    and ($scene is null or scene = $scene)
    and ($experiment is null or starts_with(arm, $experiment || '/'))
group by arm, user_id
order by user_id, arm
"""


@dataclass(frozen=True)
class Period:
    """From `since` to before `until`, naive UTC; in one `scene` or in all."""

    since: datetime
    until: datetime
    scene: str | None = None


@dataclass(frozen=True)
class Arm:
    """One arm: its counts a unit, `count` ▸ [U], and what they are in all."""

    users: int
    requests: int
    unsettled: int
    releases: list[str]
    counts_U: dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class ArmExposures:
    """Arms by name; every `counts_U` is over the same units. `shared_users` were exposed in more than one arm."""

    arms: dict[str, Arm]
    shared_users: int


def newest_exposure_at(marts: Path) -> datetime | None:
    """When the newest exposure was shown; None where nothing was shown yet.

    Raises:
        MissingInput: there is no mart `exposures`.
    """
    (found,) = duckdb.execute("select max(shown_at) from read_parquet(?)", [str(exposures_mart(marts))]).fetchall()[0]
    return found if found is None else datetime.fromisoformat(str(found))


def load_arm_exposures(
    marts: Path, period: Period, experiment: str | None = None, max_units: int = MAX_UNITS
) -> ArmExposures:
    """What was shown in the period, of the arms of an `experiment` or of all arms.

    Raises:
        MissingInput: there is no mart `exposures`.
    """
    values = {"file": str(exposures_mart(marts)), "experiment": experiment, "scene": period.scene}
    found = duckdb.execute(QUERY, values | {"since": period.since, "until": period.until})
    columns = [name for name, *_ in found.description or []]
    rows = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    number = {user: place for place, user in enumerate(sorted({row["user_id"] for row in rows}))}
    of_arm: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        of_arm.setdefault(row["arm"], []).append(row)
    units = min(len(number), max_units)
    arms = {name: _arm(of, number, units) for name, of in sorted(of_arm.items())}
    arms_of_user = Counter(row["user_id"] for row in rows)
    return ArmExposures(arms, sum(count > 1 for count in arms_of_user.values()))


def exposures_mart(marts: Path) -> Path:
    """The file of the mart.

    Raises:
        MissingInput: it is not there.
    """
    path = marts / "exposures.parquet"
    if not path.exists():
        raise MissingInput(f"no mart {path}; run `dbt build --project-dir dbt` first, or set SEGUE_HOME")
    return path


def _arm(rows: Sequence[dict[str, Any]], number: dict[str, int], units: int) -> Arm:
    unit = np.array([number[row["user_id"]] % units for row in rows])
    return Arm(
        users=len(rows),
        requests=sum(row["requests"] for row in rows),
        unsettled=sum(row["unsettled"] for row in rows),
        releases=sorted({release for row in rows for release in row["releases"]}),
        counts_U={name: np.bincount(unit, [row[name] for row in rows], units).astype(np.float64) for name in COUNTS},
    )
