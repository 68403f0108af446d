"""Boosted trees on 26 numbers of the play log: what came of the last plays, of this track and of its artist, and when.

A strong plain answer to "will this play last": no embedding, no sequence model. Every number of a play is from earlier
plays of the same user. Legend: P plays, R cases. Knows nothing about rankers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from training.data.plays import Plays
from training.ranking.cases import RankingCases

LAGS = 8
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000


@dataclass(frozen=True)
class GbdtConfig:
    """LightGBM's numbers; at most `trees`, as many as validation likes best; `cases` as in `RankerConfig`."""

    cases: int
    trees: int = 400
    leaves: int = 127
    learning_rate: float = 0.05
    min_data_in_leaf: int = 200
    patience: int = 30
    seed: int = 0


def features(plays: Plays) -> tuple[pl.DataFrame, list[str]]:
    """A row a play with user, play_number and the numbers, and the numbers' names."""
    columns = {
        "user": plays.user_P.astype(np.int64),
        "play_number": plays.play_number_P.astype(np.int64),
        "track": plays.track_P,
        "artist": plays.artist_P,
        "known_at": plays.known_at_P,
        "request_at": plays.request_at_P,
        "label": plays.is_listened_P.astype(np.int8),
    }
    rows = pl.DataFrame(columns)
    user, label, request = "user", pl.col("label"), pl.col("request_at")
    before, count = label.shift(1), pl.int_range(pl.len())
    known = set(rows.columns)
    rows = rows.with_columns(*(label.shift(k).over(user).alias(f"label_{k}_ago") for k in range(1, LAGS + 1)))
    rows = rows.with_columns(
        plays_before=count.over(user),
        gap=request - pl.col("known_at").shift(1).over(user),
        six_plays_took=request - pl.col("known_at").shift(6).over(user),
        rate_20=before.rolling_mean(20, min_samples=1).over(user),
        rate_100=before.rolling_mean(100, min_samples=1).over(user),
        rate_all=(label.cum_sum() - label).over(user) / (count.over(user) + 1),
        hour=request // HOUR_US % 24,
        weekday=request // DAY_US % 7,
        same_artist=(pl.col("artist") == pl.col("artist").shift(1)).over(user).cast(pl.Int8),
        same_track=(pl.col("track") == pl.col("track").shift(1)).over(user).cast(pl.Int8),
    )
    for key in ("track", "artist"):
        over = [user, key]
        rows = rows.with_columns(
            count.over(over).alias(f"{key}_plays"),
            ((label.cum_sum() - label).over(over) / (count.over(over) + 1)).alias(f"{key}_rate"),
            before.over(over).alias(f"{key}_last"),
            (request - pl.col("known_at").shift(1).over(over)).alias(f"{key}_since"),
        )
    return rows, [name for name in rows.columns if name not in known]


def fit(
    plays: Plays, learned: RankingCases, held_out: RankingCases, config: GbdtConfig
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Probability that each held-out play is listened to [R], and what the fit told."""
    import lightgbm

    began = time.perf_counter()
    rows, names = features(plays)
    parts = {}
    for part, cases in (("train", learned), ("validation", held_out)):
        asked = pl.DataFrame({"user": cases.user_R, "play_number": cases.play_number_R})
        table = asked.join(rows, on=["user", "play_number"], how="left", maintain_order="left", validate="1:1")
        parts[part] = table.select(names).to_numpy().astype(np.float32), table["label"].to_numpy()
    parameters = {
        "objective": "binary",
        "learning_rate": config.learning_rate,
        "num_leaves": config.leaves,
        "min_data_in_leaf": config.min_data_in_leaf,
        "seed": config.seed,
        "verbose": -1,
    }
    model = lightgbm.train(
        parameters,
        lightgbm.Dataset(*parts["train"]),
        config.trees,
        valid_sets=[lightgbm.Dataset(*parts["validation"])],
        callbacks=[lightgbm.early_stopping(config.patience, verbose=False)],
    )
    said = np.asarray(model.predict(parts["validation"][0]), dtype=np.float32)
    told = {"seconds": time.perf_counter() - began, "steps": model.best_iteration, "cases": len(learned)}
    return said, told | {"parameters": model.best_iteration * config.leaves}
