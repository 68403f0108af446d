"""The places that chance filled, from the mart `exposures`, with what a policy would have done there.

A list is shown again on its day: that is the same draw, which counts once, with whatever came of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from training.engine.workspace import MissingInput
from training.experiments.arm_exposures import exposures_mart

REWARDS = ("is_played", "is_full_play", "is_liked")

QUERY = """
with

draws as (
    select
        user_id,
        arg_min(event_id, (shown_at, event_id)) as event_id,
        arg_min(propensity, (shown_at, event_id)) as propensity,
        bool_or({reward}) as reward
    from read_parquet(?)
    where is_exploration
    group by user_id, scene, shown_at::date, target_type, target_id
)

select
    draws.event_id,
    draws.user_id,
    draws.reward::double as reward,
    draws.propensity,
    policy.probability
from draws
left join read_parquet(?) as policy on draws.event_id = policy.event_id
order by draws.user_id, draws.event_id
"""


@dataclass(frozen=True)
class ExplorationSlots:
    """N places: whose, what came of it, with what probability it was filled so, and with what the policy would have."""

    user_N: list[str]
    reward_N: NDArray[np.float64]
    propensity_N: NDArray[np.float64]
    probability_N: NDArray[np.float64]


def load_exploration_slots(marts: Path, policy: Path, reward: str) -> ExplorationSlots:
    """Every exploration place, with the `probability` that the Parquet file `policy` gives its `event_id`.

    Raises:
        MissingInput: the mart or the policy is not there.
        ValueError: no such reward, or the policy has other columns, an event twice, or not every place.
    """
    if reward not in REWARDS:
        raise ValueError(f"reward {reward!r} is not one of {', '.join(REWARDS)}")
    file = exposures_mart(marts)
    if not policy.is_file():
        raise MissingInput(f"no policy {policy}; give a Parquet file with event_id and probability")
    columns = {
        str(row[0]) for row in duckdb.execute("describe select * from read_parquet(?)", [str(policy)]).fetchall()
    }
    if not columns >= {"event_id", "probability"}:
        raise ValueError(f"{policy} has the columns {', '.join(sorted(columns))}; it needs event_id and probability")
    twice = duckdb.execute(
        "select event_id from read_parquet(?) group by event_id having count(*) > 1 order by 1 limit 1", [str(policy)]
    ).fetchone()
    if twice:
        raise ValueError(f"{policy} names {twice[0]} twice; an event has one probability")
    rows = duckdb.execute(QUERY.format(reward=reward), [str(file), str(policy)]).fetchall()
    lacking = [event for event, *_, probability in rows if probability is None]
    if lacking:
        raise ValueError(
            f"{len(lacking):,} of {len(rows):,} exploration places are not in {policy}, {lacking[0]} among them; "
            "give each a probability, 0 where the policy would not show the item"
        )
    reward_N, propensity_N, probability_N = (
        np.array([row[place] for row in rows], dtype=np.float64) for place in (2, 3, 4)
    )
    return ExplorationSlots([row[1] for row in rows], reward_N, propensity_N, probability_N)
