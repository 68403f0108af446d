"""Somebody else's ranker on our cases: LightGBM on numbers of the log, torch-rechub's DIN and DIEN unmodified.

They learn from the plays that a ranker with as many `cases` learns from, and are asked about the same plays. Legend: R
cases, L events. Knows nothing about studies.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from config import settings
from training.ablations import gbdt, rechub
from training.ablations.gbdt import GbdtConfig
from training.ablations.peer_environment import RECHUB, ensure_environment
from training.ablations.ranker_trial import DEFAULT_TASK
from training.data.user_batch import OfflineFeatures
from training.ranking.cases import RankingCases, ranking_cases
from training.ranking.features.ranking_features import RECENT_EVENTS
from training.ranking.features.user_features import HOUR_US

CASE_BATCH_SIZE = 20_000


@dataclass(frozen=True)
class RechubConfig:
    """Our numbers where both have them: width, batches and history of our rankers; `cases` as in `RankerConfig`."""

    cases: int
    width: int = 32
    events: int = 50
    batch_size: int = 256
    learning_rate: float = 1e-3
    epochs: int = 1
    seed: int = 0


PEERS: dict[str, type[GbdtConfig] | type[RechubConfig]] = {
    "gbdt": GbdtConfig,
    "DIN": RechubConfig,
    "DIEN": RechubConfig,
}


def measure(
    name: str, offline: OfflineFeatures, config: GbdtConfig | RechubConfig, folder: Path
) -> tuple[pl.DataFrame, GbdtConfig | RechubConfig, dict[str, Any]]:
    """As `measured_ranker.measure`: the same rows in the same order."""
    cases = ranking_cases(offline.data)
    learned = _labeled_cases(cases.filter_part("train").newest_per_user(config.cases))
    held_out = _labeled_cases(cases.filter_part("validation"))
    if isinstance(config, GbdtConfig):
        said_R, told = gbdt.fit(offline.data.plays, learned, held_out, config)
    else:
        said_R, told = _rechub(name, offline, learned, held_out, config, folder)
    rows = pl.DataFrame({"user": held_out.user_R, "label": _labels(held_out), "probability": said_R})
    return rows, config, told


def _labels(cases: RankingCases) -> NDArray[np.float32]:
    labels_R: NDArray[np.float32] = cases.labels_RT[:, cases.tasks.index(DEFAULT_TASK)]
    return labels_R


def _labeled_cases(cases: RankingCases) -> RankingCases:
    """The cases whose label is known."""
    return cases.take(np.flatnonzero(~np.isnan(_labels(cases))))


def _rechub(
    name: str,
    offline: OfflineFeatures,
    learned: RankingCases,
    held_out: RankingCases,
    config: RechubConfig,
    folder: Path,
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {"tracks": len(offline.data.vocabulary), "width": config.width}
    random = np.random.default_rng(config.seed)
    for part, cases in (("train", learned), ("validation", held_out)):
        history_RL = _histories(offline, cases, config.events)
        columns |= {
            f"{part}_history": history_RL,
            f"{part}_other": history_RL[random.permutation(len(history_RL))],
            f"{part}_item": cases.item_R.astype(np.int32),
            f"{part}_hour": (cases.request_at_R // HOUR_US % 24).astype(np.int32),
            f"{part}_label": _labels(cases),
        }
    np.savez(folder / rechub.CASES, **columns)
    asked = {"width": config.width, "epochs": config.epochs, "batch": config.batch_size, "rate": config.learning_rate}
    options = [f"--{key}={value}" for key, value in (asked | {"seed": config.seed}).items()]
    command = [str(ensure_environment(*RECHUB)), "-m", "training.ablations.rechub", name, str(folder), *options]
    done = subprocess.run(
        command, cwd=settings.ROOT, env=dict(os.environ), stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}; its own words are above")
    told = json.loads(done.stdout.splitlines()[-1])
    steps = config.epochs * -(-len(learned) // config.batch_size)
    return np.load(folder / rechub.PREDICTIONS), told | {"steps": steps, "cases": len(learned)}


def _histories(offline: OfflineFeatures, cases: RankingCases, events: int) -> NDArray[np.int32]:
    """Tracks of each case's newest events [R, L], oldest first, zeros after them: what our rankers read softly."""
    reader, user_ids_R = offline.data.reader(RECENT_EVENTS), offline.data.user_ids_U[cases.user_R]
    history_RL = np.zeros((len(cases), events), dtype=np.int32)
    for start in range(0, len(cases), CASE_BATCH_SIZE):
        rows = slice(start, start + CASE_BATCH_SIZE)
        batch = reader.read(user_ids_R[rows].tolist(), cases.request_at_R[rows], events)
        track_BL = np.where(batch.mask_BL, batch.columns["track_id"], 0)
        history_RL[rows, : track_BL.shape[1]] = track_BL
    return history_RL
