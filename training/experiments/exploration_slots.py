"""Exploration slots of the mart `exposures`, with the probability that a policy shows the same item.

A stored list is shown repeatedly; its repeated exposures are one random draw and count once, with the outcomes of all. Every
request of another scene draws again. A draw counts after the outcome windows of all its exposures.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from training.engine.workspace import MissingInput
from training.experiments.arm_exposures import exposures_mart
from training.slate.scene_settings import SCENES

REWARDS = ("is_played", "is_full_play", "is_liked")
STORED_LISTS = [scene.name for scene in SCENES.values() if scene.repeat_cooldown_days]
"""Scenes with one list per UTC day."""

QUERY = """
with

draws as (
    select
        user_id,
        arg_min(event_id, (shown_at, event_id)) as event_id,
        arg_min(propensity, (shown_at, event_id)) as propensity,
        bool_or({reward}) as reward
    from read_parquet($exposures)
    where is_exploration
    group by
        user_id,
        scene,
        case when scene in $stored_lists then shown_at::date::varchar else request_id end,
        target_type,
        target_id
    having bool_and(is_settled)
)

select
    draws.event_id,
    draws.user_id,
    draws.reward::double as reward,
    draws.propensity,
    policy.probability
from draws
left join read_parquet($policy) as policy on draws.event_id = policy.event_id::varchar
order by draws.user_id, draws.event_id
"""


@dataclass(frozen=True)
class ExplorationSlots:
    """N slots that were filled with a random item."""

    user_N: list[str]
    reward_N: NDArray[np.float64]  # 0 or 1
    propensity_N: NDArray[np.float64]  # logged probability of showing the item in the slot
    probability_N: NDArray[np.float64]  # probability under the policy


def load_exploration_slots(marts: Path, policy: Path, reward: str) -> ExplorationSlots:
    """Every exploration slot with a final outcome, and the `probability` of its `event_id` in the Parquet file `policy`.

    Raises:
        MissingInput: The mart or the policy file does not exist.
        ValueError: The reward is unknown, or the policy is not a Parquet file, lacks columns or slots, or contains an event
            twice.
    """
    if reward not in REWARDS:
        raise ValueError(f"reward {reward!r} is not one of {', '.join(REWARDS)}")
    file = exposures_mart(marts)
    if not policy.is_file():
        raise MissingInput(f"policy file {policy} does not exist; give a Parquet file with event_id and probability")
    _check_policy(policy)
    values = {"exposures": str(file), "policy": str(policy), "stored_lists": STORED_LISTS}
    rows = duckdb.execute(QUERY.format(reward=reward), values).fetchall()
    missing = [event for event, *_, probability in rows if probability is None]
    if missing:
        raise ValueError(
            f"{len(missing):,} of {len(rows):,} exploration slots are not in {policy}, for example {missing[0]}; "
            "give each a probability, 0 if the policy would not show the item"
        )
    reward_N, propensity_N, probability_N = (
        np.array([row[column] for row in rows], dtype=np.float64) for column in (2, 3, 4)
    )
    return ExplorationSlots([row[1] for row in rows], reward_N, propensity_N, probability_N)


def _check_policy(policy: Path) -> None:
    """Check the columns of the Parquet file `policy`, and that it has each event once.

    Raises:
        ValueError: The file is not a Parquet file, lacks columns, or contains an event twice.
    """
    try:
        described = duckdb.execute("describe select * from read_parquet(?)", [str(policy)]).fetchall()
        columns = {str(row[0]) for row in described}
        if not columns >= {"event_id", "probability"}:
            raise ValueError(
                f"{policy} has the columns {', '.join(sorted(columns))}; it needs event_id and probability"
            )
        duplicate = duckdb.execute(
            "select event_id from read_parquet(?) group by event_id having count(*) > 1 order by 1 limit 1",
            [str(policy)],
        ).fetchone()
    except duckdb.Error as error:
        raise ValueError(
            f"{policy} cannot be read as Parquet ({error}); write event_id and probability into a Parquet file"
        ) from error
    if duplicate:
        raise ValueError(f"{policy} contains {duplicate[0]} twice; give each event one probability")
