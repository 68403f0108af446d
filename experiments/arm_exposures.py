"""Planned arms and shares of an experiment, and counts of exposures and outcomes per arm and user.

The plan is read from `shares.json`, the counts from the mart `exposures`. Changing the shares moves users between arms, so a
comparison covers a period with constant shares.

Legend: U units. A unit is a user or, with more than MAX_UNITS users, a group of users.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from releases.format import MissingInput
from releases.traffic_split import PRODUCTION
from storage.files import read_json

COUNTS = ("exposures", "plays", "full_plays", "skips", "likes")
MAX_UNITS = 20_000
"""A bootstrap takes 8 kB per unit. Groups of users are independent of each other just as users are."""
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
    and starts_with(arm, $experiment || '/')
group by arm, user_id
order by user_id, arm
"""


@dataclass(frozen=True)
class ExperimentPlan:
    """Constant traffic shares of an experiment over one period."""

    experiment: str
    shares: dict[str, float]  # arm → share of the users, above 0, summing to 1
    since: datetime  # naive UTC
    until: datetime | None  # naive UTC, exclusive; None: still active


def load_latest_plan(file: Path) -> ExperimentPlan | None:
    """Latest shares of the newest experiment; None before the first one.

    Args:
        file: `shares.json`; it need not exist.
    """
    content = read_json(file)
    active = [content | {"until": None}] if content.get("canaries") else []
    periods: list[dict[str, Any]] = [*content.get("history", []), *active]
    if not periods:
        return None
    period = periods[-1]
    name = period["experiment"]
    shares = {f"{name}/{canary['release']}": float(canary["share"]) for canary in period["canaries"]}
    rest = round(1 - sum(shares.values()), 9)
    if rest > 0:
        shares[f"{name}/{PRODUCTION}"] = rest
    until = period["until"]
    return ExperimentPlan(name, shares, _utc(period["since"]), None if until is None else _utc(until))


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class Arm:
    """Exposures of one arm."""

    users: int
    requests: int
    unsettled: int  # exposures whose outcome window is still open
    releases: list[str]
    counts_U: dict[str, NDArray[np.float64]]  # name of COUNTS → count per unit


def newest_exposure_at(marts: Path) -> datetime | None:
    """Time of the newest exposure, naive UTC; None if there is none.

    Raises:
        MissingInput: The mart `exposures` does not exist.
    """
    (newest,) = duckdb.execute("select max(shown_at) from read_parquet(?)", [str(exposures_mart(marts))]).fetchall()[0]
    return newest if newest is None else datetime.fromisoformat(str(newest))


def load_arm_exposures(
    marts: Path, since: datetime, until: datetime, experiment: str, max_units: int = MAX_UNITS
) -> tuple[dict[str, Arm], int]:
    """Exposures from `since` until before `until` (naive UTC), of the arms of `experiment`.

    Returns:
        The arms by name, whose `counts_U` have the same units, and the number of users with exposures in more than one arm.

    Raises:
        MissingInput: The mart `exposures` does not exist.
    """
    values = {"file": str(exposures_mart(marts)), "experiment": experiment}
    rows = duckdb.execute(QUERY, values | {"since": since, "until": until}).pl()
    users, user_N = np.unique(rows["user_id"].to_numpy(), return_inverse=True)
    units = min(len(users), max_units)
    rows = rows.with_columns(unit=pl.Series(user_N % max(units, 1))).sort("arm", maintain_order=True)
    arms = {str(name): _arm(part, units) for (name,), part in rows.partition_by("arm", as_dict=True).items()}
    return arms, int((np.bincount(user_N) > 1).sum())


def exposures_mart(marts: Path) -> Path:
    """File of the mart `exposures`.

    Raises:
        MissingInput: It does not exist.
    """
    path = marts / "exposures.parquet"
    if not path.exists():
        raise MissingInput(f"no mart {path}; run `dbt build --project-dir dbt` first, or set SEGUE_HOME")
    return path


def _arm(rows: pl.DataFrame, units: int) -> Arm:
    columns = {name: rows[name].to_numpy() for name in ("unit", *COUNTS)}
    return Arm(
        users=len(rows),
        requests=int(rows["requests"].sum()),
        unsettled=int(rows["unsettled"].sum()),
        releases=sorted(rows["releases"].explode().unique().to_list()),
        counts_U={name: np.bincount(columns["unit"], columns[name], units).astype(np.float64) for name in COUNTS},
    )
