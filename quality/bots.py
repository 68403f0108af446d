"""Leaves events of bots out of the validation of landed events, by the thresholds with which dbt leaves them out of the marts.

A bot has more events than a person can have. Without this, its events would fail the expectations on volume and drift for a
week, and no release could follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from config.tool_environment import load_dbt_variables
from quality import tables
from quality.engine import Engine
from quality.tables import LandedEvents, Table

MIN_USERS = 100
"""Minimum number of users for the share of excluded users to be limited."""

_USER_DAYS = """
with timed as (select user_id, action, {epoch_micros} as ended_us from {source}),
busy as (
    select user_id, floor(ended_us / 86400000000) as day
    from timed
    group by user_id, floor(ended_us / 86400000000)
    having count(*) > least({actions_per_minute}, {events_per_day})
),
minutes as (
    select
        timed.user_id,
        busy.day,
        count(*) as events,
        count(*) filter (where timed.action <> 'impression') as actions
    from timed
    inner join busy on timed.user_id = busy.user_id and floor(timed.ended_us / 86400000000) = busy.day
    group by timed.user_id, busy.day, floor(timed.ended_us / 60000000)
)
select user_id as bot_id, day as bot_day, sum(events) as events
from minutes
group by user_id, day
having max(actions) > {actions_per_minute} or sum(events) > {events_per_day}
"""


@dataclass(frozen=True)
class ExcludedUsers:
    """Number of users and events that were left out."""

    users: int = 0
    all_users: int = 0  # with or without excluded events
    events: int = 0

    @property
    def share(self) -> float | None:
        """Share of excluded users; None if there are too few users to limit it."""
        return self.users / self.all_users if self.all_users >= MIN_USERS else None

    def describe(self) -> str:
        """One line for the report."""
        return (
            f"bots: {self.events:,} events of {self.users:,} of {self.all_users:,} users are left out here and in the marts, "
            "because no person has this rate of events; users, days and reasons: mart excluded_user_days"
        )


def find_landed_events(engine: Engine, landing: Path, as_of: date) -> tuple[LandedEvents, ExcludedUsers]:
    """Return the newest partition before `as_of` with other events than those of bots, without the latter; and excluded users.

    Raises:
        tables.TableError: No event before `as_of` has been landed.
    """
    newest: tuple[LandedEvents, ExcludedUsers] | None = None
    for partition in tables.landed_partitions(engine, landing, as_of):
        landed, excluded = _exclude(engine, partition)
        newest = newest or (landed, excluded)
        if excluded.users == 0 or engine.rows(f"select 1 from {landed.table.source} limit 1"):  # noqa: S608
            return landed, newest[1]
    if newest is None:
        return tables.find_landed_events(engine, landing, as_of), ExcludedUsers()  # raises the error
    return newest


def _exclude(engine: Engine, landed: LandedEvents) -> tuple[LandedEvents, ExcludedUsers]:
    events = landed.table if landed.is_historical else landed.week
    variables = load_dbt_variables()
    user_days = _USER_DAYS.format(
        source=events.source,
        epoch_micros=engine.epoch_micros("ended_at"),
        actions_per_minute=variables["bot_actions_per_minute"],
        events_per_day=variables["bot_events_per_day"],
    )
    ((users, count, all_users),) = engine.rows(
        f"select count(distinct bot_id), coalesce(sum(events), 0), (select count(distinct user_id) from {events.source})"  # noqa: S608
        f" from ({user_days}) as bots"
    )
    if not users:
        return landed, ExcludedUsers()

    def without_bots(table: Table) -> Table:
        day = f"floor({engine.epoch_micros('events.ended_at')} / 86400000000)"
        query = (
            f"select events.* from {table.source} as events"  # noqa: S608
            f" left join ({user_days}) as bots on events.user_id = bots.bot_id and {day} = bots.bot_day"
            " where bots.bot_id is null"
        )
        return replace(table, source=engine.create_view(query))

    excluded = ExcludedUsers(users=int(users), events=int(count), all_users=int(all_users))
    return replace(landed, table=without_bots(landed.table), week=without_bots(landed.week)), excluded
