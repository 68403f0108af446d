"""Rankers of other libraries on the same cases: LightGBM on features of the log, unmodified DIN and DIEN of
torch-rechub, which read the behavior of each event (listened, skipped, ...) beside its track.

They are fitted on the plays that a ranker with the same number of `cases` is fitted on, and predict the same plays.
Legend: R cases, L events.
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from config import settings
from sequences.behaviours import load_behaviours
from training.ablations import gbdt, rechub
from training.ablations.gbdt import GbdtConfig
from training.ablations.ranker_trial import DEFAULT_TASK
from training.data.user_batch import OfflineFeatures
from training.engine.threads import configure_threads
from training.ranking.cases import RankingCases, ranking_cases
from training.ranking.features.ranking_features import RECENT_EVENTS
from training.ranking.features.user_features import HOUR_US

CASE_BATCH_SIZE = 20_000
RECHUB = ("torch-rechub==0.9.0",)


@dataclass(frozen=True)
class RechubConfig:
    """Configuration of torch-rechub's models, with the values of Segue's rankers for shared hyperparameters."""

    cases: int  # training cases, as in `RankerConfig`
    width: int = 32
    events: int = 50  # length of the history
    batch_size: int = 256
    learning_rate: float = 1e-3
    epochs: int = 6  # largest number; ends after the first epoch whose AUC on validation is not the best so far
    seed: int = 0


PEERS: dict[str, type[GbdtConfig] | type[RechubConfig]] = {
    "gbdt": GbdtConfig,
    "DIN": RechubConfig,
    "DIEN": RechubConfig,
}


def measure(
    name: str, offline: OfflineFeatures, config: GbdtConfig | RechubConfig, folder: Path
) -> tuple[pl.DataFrame, GbdtConfig | RechubConfig, dict[str, Any]]:
    """Fit and predict; returns the same rows in the same order as `ranker_trial.measure`."""
    cases = ranking_cases(offline.data)
    train = labeled_cases(cases.filter_part("train").newest_per_user(config.cases))
    held_out = labeled_cases(cases.filter_part("validation"))
    if isinstance(config, GbdtConfig):
        probability_R, measures = gbdt.fit(offline.data.plays, train, held_out, config)
    else:
        probability_R, measures = _rechub(name, offline, train, held_out, config, folder)
    rows = pl.DataFrame({"user": held_out.user_R, "label": _labels(held_out), "probability": probability_R})
    return rows, config, measures


def ensure_environment(*packages: str) -> Path:
    """Python interpreter of an environment with these packages and those of Segue, created on first use.

    The environment is below SEGUE_HOME/peers and sees the packages of Segue, so that torch is installed only once.

    Raises:
        RuntimeError: The packages cannot be installed; the message has the output of pip.
    """
    folder = settings.load_settings().home / "peers" / "_".join(package.replace("==", "-") for package in packages)
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True, clear=True)
        site_packages = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
        (Path(site_packages) / "ours.pth").write_text(sysconfig.get_path("purelib") + "\n")
        install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", *packages]
        completed = subprocess.run(install, capture_output=True, text=True, check=False)
        if completed.returncode:
            raise RuntimeError(
                f"{', '.join(packages)} cannot be installed into {folder}; check that a package index is reachable: "
                f"{completed.stderr[-2000:]}"
            )
        (folder / "installed").touch()
    return python


def _labels(cases: RankingCases) -> NDArray[np.float32]:
    labels_R: NDArray[np.float32] = cases.labels_RT[:, cases.tasks.index(DEFAULT_TASK)]
    return labels_R


def labeled_cases(cases: RankingCases) -> RankingCases:
    """The cases with a label of DEFAULT_TASK, in their order."""
    return cases.take(np.flatnonzero(~np.isnan(_labels(cases))))


def _rechub(
    name: str,
    offline: OfflineFeatures,
    train: RankingCases,
    held_out: RankingCases,
    config: RechubConfig,
    folder: Path,
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    behaviours = max(load_behaviours().encoder.values()) + 1
    columns: dict[str, Any] = {"tracks": len(offline.data.vocabulary), "behaviours": behaviours, "width": config.width}
    random = np.random.default_rng(config.seed)
    for part, cases in (("train", train), ("validation", held_out)):
        history_RL, behaviour_RL = _histories(offline, cases, config.events)
        shuffled = random.permutation(len(history_RL))
        columns |= {
            f"{part}_history": history_RL,
            f"{part}_other": history_RL[shuffled],
            f"{part}_behaviour_history": behaviour_RL,
            f"{part}_behaviour_other": behaviour_RL[shuffled],
            f"{part}_item": cases.item_R.astype(np.int32),
            f"{part}_hour": (cases.request_at_R // HOUR_US % 24).astype(np.int32),
            f"{part}_label": _labels(cases),
        }
    np.savez(folder / rechub.CASES, **columns)
    parameters = {
        "width": config.width,
        "epochs": config.epochs,
        "batch": config.batch_size,
        "rate": config.learning_rate,
        "seed": config.seed,
        "threads": configure_threads(),
    }
    options = [f"--{key}={value}" for key, value in parameters.items()]
    command = [str(ensure_environment(*RECHUB)), "-m", "training.ablations.rechub", name, str(folder), *options]
    completed = subprocess.run(
        command, cwd=settings.ROOT, env=dict(os.environ), stdout=subprocess.PIPE, text=True, check=False
    )
    if completed.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with exit code {completed.returncode}; see its output above")
    measures = json.loads(completed.stdout.splitlines()[-1])
    steps = measures["epochs"] * -(-len(train) // config.batch_size)
    return np.load(folder / rechub.PREDICTIONS), measures | {"steps": steps, "cases": len(train)}


def _histories(
    offline: OfflineFeatures, cases: RankingCases, events: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Tracks and behaviors of each case's newest events [R, L], oldest first, padded with 0 at the end."""
    reader, user_ids_R = offline.data.reader(RECENT_EVENTS), offline.data.user_ids_U[cases.user_R]
    history_RL, behaviour_RL = (np.zeros((len(cases), events), dtype=np.int32) for _ in range(2))
    for start in range(0, len(cases), CASE_BATCH_SIZE):
        rows = slice(start, start + CASE_BATCH_SIZE)
        batch = reader.read(user_ids_R[rows].tolist(), cases.request_at_R[rows], events)
        for column, padded_RL in (("track_id", history_RL), ("behaviour", behaviour_RL)):
            padded_RL[rows, : batch.mask_BL.shape[1]] = np.where(batch.mask_BL, batch.columns[column], 0)
    return history_RL, behaviour_RL
