"""Gradient-boosted trees (LightGBM) on 26 features of the play log: outcomes of the last plays, of the track and its
artist.

A strong baseline without embeddings or sequence models. All features of a play are from earlier plays of the same user.
Legend: P plays, R cases.
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
    """Configuration of LightGBM, with early stopping on the validation part."""

    cases: int  # training cases, as in `RankerConfig`
    trees: int = 400  # maximum
    leaves: int = 127
    learning_rate: float = 0.05
    min_data_in_leaf: int = 200
    patience: int = 30  # trees without improvement before stopping
    seed: int = 0


def features(plays: Plays) -> tuple[pl.DataFrame, list[str]]:
    """One row per play with user, play_number and the features, and the names of the features."""
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
    key_columns = set(rows.columns)
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
    return rows, [name for name in rows.columns if name not in key_columns]


def fit(
    plays: Plays, train: RankingCases, held_out: RankingCases, config: GbdtConfig
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Probability that each held-out play is listened to [R], and the measures of the fit."""
    from training.engine.lightgbm_import import lightgbm

    start = time.perf_counter()
    rows, names = features(plays)
    parts = {}
    for part, cases in (("train", train), ("validation", held_out)):
        keys = pl.DataFrame({"user": cases.user_R, "play_number": cases.play_number_R})
        table = keys.join(rows, on=["user", "play_number"], how="left", maintain_order="left", validate="1:1")
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
    probability_R = np.asarray(model.predict(parts["validation"][0]), dtype=np.float32)
    measures = {"seconds": time.perf_counter() - start, "steps": model.best_iteration, "cases": len(train)}
    return probability_R, measures | {"parameters": model.best_iteration * config.leaves}
