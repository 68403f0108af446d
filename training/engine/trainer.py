"""Fitting a neural model: progress, checkpoints, going on after a kill, early stopping; the same seed gives the same
model.

Batch number i depends on the seed and i alone, and so do the random numbers of step i, so a fit that was killed goes
on from its last checkpoint and ends with the very weights of one that was not. Several ranks (`training.engine.distributed`) step
together, each on its rows of the batch; the first of them validates and writes. Lightning does the stepping. Knows
nothing about what is learned.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.strategies import DDPStrategy
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader

from training.engine import distributed
from training.engine.prefetch import DataWaitTimer, Prefetcher, StepBatchDataset
from training.engine.process_memory import retain_freed_memory
from training.engine.workspace import write_json

LAST_CHECKPOINT_FILE, BEST_WEIGHTS_FILE, FIT_RECORD_FILE = "last.ckpt", "best.safetensors", "fit.json"
MAX_GRAD_NORM = 1.0


@dataclass(frozen=True)
class Schedule:
    """How long to learn: at most `steps`; every `validate_every` steps (0: never) the model is validated, and after
    `patience` of them without a better value the fit ends. `checkpoint_every` steps the state is written.
    """

    steps: int
    validate_every: int = 0
    patience: int = 3
    checkpoint_every: int = 100
    seed: int = 0


@dataclass
class FitRecord:
    """How a fit went. `steps`: those of the weights that were kept; `history`: one row a validation, with its loss
    since the last one; `data_wait_share`: of the time of all steps, the part in which the model waited for a batch.
    """

    steps: int = 0
    data_wait_share: float = 0.0
    value: float | None = None
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def configure_threads() -> int:
    """Give torch as many threads as `SEGUE_THREADS` says, else `OMP_NUM_THREADS`, else the machine's cores; and see that
    they find the memory of the step before again.

    Models that train side by side must share the cores: two with every core each take several times as long.
    """
    threads = int(os.environ.get("SEGUE_THREADS") or os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    torch.set_num_threads(threads)
    retain_freed_memory()
    return threads


def fit(
    module: lightning.LightningModule,
    batch_at: Callable[[int], Any],
    schedule: Schedule,
    folder: Path,
    validate: Callable[[], float] | None = None,
    *,
    mixed_precision: bool = False,
) -> FitRecord:
    """Train `module` in place on `batch_at(0)`, `batch_at(1)`, … and leave in it the weights of the best validation
    (higher is better). `mixed`: a GPU that can multiplies in bfloat16; weights, losses and sums stay in single precision.

    Without `validate` the weights after the last step stay. What is needed to go on is kept in `folder`; a fit that
    finished there is not repeated, its weights are read. Of several ranks, which must see the same `folder`, only the
    first calls `validate`.

    Raises:
        LeftToFirst: the fit is over, and this is not the first rank.
    """
    configure_threads()
    folder.mkdir(parents=True, exist_ok=True)
    if distributed.broadcast_from_rank0((folder / FIT_RECORD_FILE).exists):
        distributed.require_rank0()
        module.load_state_dict(load_file(folder / BEST_WEIGHTS_FILE))
        return FitRecord(**json.loads((folder / FIT_RECORD_FILE).read_text()))
    numbered = StepBatchDataset(batch_at, schedule.steps, lambda: int(module.global_step))
    batches = DataWaitTimer(Prefetcher(DataLoader(numbered, batch_size=None)))
    keeper = CheckpointAndEarlyStop(schedule, folder, validate, batches)
    is_terminal = sys.stderr.isatty()
    trainer = lightning.Trainer(
        **_device_settings(),
        precision="bf16-mixed" if mixed_precision and has_bfloat16() else "32-true",
        max_steps=schedule.steps,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        default_root_dir=str(folder),
        callbacks=[keeper, TQDMProgressBar(refresh_rate=5 if is_terminal else 200)],
    )
    last = folder / LAST_CHECKPOINT_FILE
    is_going_on = distributed.broadcast_from_rank0(last.exists)
    trainer.fit(module, batches, ckpt_path=str(last) if is_going_on else None, weights_only=False)
    keeper.finish(trainer, module)
    distributed.require_rank0()
    module.load_state_dict(load_file(folder / BEST_WEIGHTS_FILE))
    write_json(folder / FIT_RECORD_FILE, asdict(keeper.record))
    last.unlink(missing_ok=True)
    return keeper.record


def has_bfloat16() -> bool:
    """Whether there is a GPU that multiplies in bfloat16 itself."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def _device_settings() -> dict[str, Any]:
    """Where Lightning runs: alone on the best device there is; of several ranks each on its own."""
    if not distributed.is_distributed():
        return {"accelerator": "auto", "devices": 1}
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    together = DDPStrategy(
        # A group of its own: what losses exchange while gradients are on their way must not get between them.
        process_group=torch.distributed.new_group(timeout=distributed.COLLECTIVE_TIMEOUT),
        # A task without a target in a batch leaves its part of the network without a gradient.
        find_unused_parameters=True,
        # What is not learned is the same everywhere: codes, and statistics of all ranks' rows.
        broadcast_buffers=False,
    )
    return {
        "accelerator": "cuda" if torch.cuda.is_available() else "cpu",
        "devices": here,
        "num_nodes": distributed.rank_and_world_size()[1] // here,
        "strategy": together,
    }


class CheckpointAndEarlyStop(Callback):
    """Seeds each step, validates, keeps the best weights and the last state, and stops when nothing gets better."""

    def __init__(
        self, schedule: Schedule, folder: Path, validate: Callable[[], float] | None, batches: DataWaitTimer
    ) -> None:
        self.schedule, self.folder, self.validate, self.batches = schedule, folder, validate, batches
        self.step_seconds, self._step_began = 0.0, 0.0
        self.record, self.checks_without_improvement, self.loss_sum, self.loss_count = FitRecord(), 0, 0.0, 0
        self._began = time.monotonic()

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        _seed_torch(distributed.seed_step(self.schedule.seed * 1_000_003 + trainer.global_step))
        self._step_began = time.monotonic()

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:  # noqa: ARG002
        clip_gradients(module.parameters())

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
        step = trainer.global_step
        self.step_seconds += time.monotonic() - self._step_began
        waited = self.batches.wait_seconds
        self.record.data_wait_share = round(waited / max(waited + self.step_seconds, 1e-9), 4)
        self.loss_sum += distributed.all_reduce_mean(float(outputs["loss"]))
        self.loss_count += 1
        if self.validate and self.schedule.validate_every and step % self.schedule.validate_every == 0:
            self._validate(trainer, module, step)
        if step % self.schedule.checkpoint_every == 0:
            # Written beside and renamed: a kill while writing leaves the previous checkpoint whole.
            writing = self.folder / f"{LAST_CHECKPOINT_FILE}.writing"
            trainer.save_checkpoint(str(writing), weights_only=False)
            if distributed.is_rank0():
                writing.replace(self.folder / LAST_CHECKPOINT_FILE)

    def finish(self, trainer: Any, module: Any) -> None:
        """Validate the end where the last step was not validated, and see that there are weights to read."""
        done = {row["step"] for row in self.record.history}
        if (
            self.validate
            and trainer.global_step not in done
            and self.checks_without_improvement < self.schedule.patience
        ):
            self._validate(trainer, module, trainer.global_step)
        if self.record.value is None:
            self._save_best_weights(module, trainer.global_step)
        self.record.seconds += time.monotonic() - self._began
        waiting = f"{self.record.data_wait_share:.1%} of the steps' time waiting for data"
        _log_from_rank0(f"  {trainer.global_step} steps, {waiting}")

    def _validate(self, trainer: Any, module: Any, step: int) -> None:
        module.eval()
        with torch.no_grad():
            value = distributed.broadcast_from_rank0(self.validate) if self.validate else 0.0
        module.train()
        loss = self.loss_sum / max(self.loss_count, 1)
        self.record.history.append({"step": step, "value": value, "loss": loss})
        self.loss_sum, self.loss_count = 0.0, 0
        _log_from_rank0(f"  step {step}: loss {loss:.4f}, validation {value:.4f}")
        if self.record.value is None or value > self.record.value:
            self.record.value, self.checks_without_improvement = value, 0
            self._save_best_weights(module, step)
            return
        self.checks_without_improvement += 1
        trainer.should_stop = self.checks_without_improvement >= self.schedule.patience

    def _save_best_weights(self, module: Any, step: int) -> None:
        self.record.steps = step
        if not distributed.is_rank0():
            return
        writing = self.folder / f"{BEST_WEIGHTS_FILE}.writing"
        save_file({name: tensor.detach().contiguous().cpu() for name, tensor in module.state_dict().items()}, writing)
        writing.replace(self.folder / BEST_WEIGHTS_FILE)

    def state_dict(self) -> dict[str, Any]:
        seconds = self.record.seconds + time.monotonic() - self._began
        return asdict(self.record) | {
            "seconds": seconds,
            "worse": self.checks_without_improvement,
            "loss": [self.loss_sum, self.loss_count],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.checks_without_improvement, (self.loss_sum, self.loss_count) = state_dict["worse"], state_dict["loss"]
        names = ("steps", "value", "seconds", "history", "data_wait_share")
        self.record = FitRecord(**{name: state_dict[name] for name in names})


def clip_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Shorten gradients, sparse ones among them, that together are longer than LONGEST_GRADIENT."""
    gradients = []
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            gradients.append(parameter.grad.values())
        elif parameter.grad is not None:
            gradients.append(parameter.grad)
    if not gradients:
        return
    length = torch.nn.utils.get_total_norm(gradients)
    share = (MAX_GRAD_NORM / (length + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(gradients, share)


def _log_from_rank0(line: str) -> None:
    if distributed.is_rank0():
        print(line, file=sys.stderr, flush=True)


def _seed_torch(seed: int) -> None:
    """As `torch.manual_seed`, which also notes down, with a traceback each, a seed for devices that are not there."""
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
