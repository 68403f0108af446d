"""Fitting loop of neural models: progress, checkpoints, resuming, early stopping; deterministic for a seed.

Batch i and the random numbers of step i depend only on the seed and on i, so a fit that was killed resumes from its
last checkpoint and ends with the same weights as an uninterrupted one. Lightning runs the steps.

Training batches by step number: prefetched, with the waiting time measured.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, IterableDataset

from storage.files import open_draft
from training.engine.lightning_import import lightning
from training.engine.threads import configure_threads
from training.engine.workspace import write_json

LAST_CHECKPOINT_FILE, BEST_WEIGHTS_FILE, FIT_RECORD_FILE = "last.ckpt", "best.safetensors", "fit.json"
MAX_GRAD_NORM = 1.0


@dataclass(frozen=True)
class Schedule:
    """Length of a fit, validation and checkpoint intervals."""

    steps: int  # maximum number of steps
    validate_every: int = 0  # steps between validations; 0: no validation
    patience: int = 3  # validations without improvement before the fit stops early
    checkpoint_every: int = 100  # steps between checkpoints
    seed: int = 0


@dataclass
class FitRecord:
    """Result of a fit besides its weights."""

    steps: int = 0  # step of the best weights
    data_wait_share: float = 0.0  # share of the total time of all steps that was spent waiting for batches
    value: float | None = None  # best validation value
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)  # step, value and mean loss of each validation


def fit(
    module: lightning.LightningModule,
    batch_at: Callable[[int], Any],
    schedule: Schedule,
    folder: Path,
    validate: Callable[[], float] | None = None,
    *,
    mixed_precision: bool = False,
) -> FitRecord:
    """Train `module` in place and load the weights of its best validation into it.

    Args:
        module: The model with its loss and optimizer.
        batch_at: Batch of a step, from 0.
        schedule: Length of the fit and its intervals.
        folder: Checkpoints and results. A fit that finished there is not repeated; its weights are loaded.
        validate: Validation value, higher is better. None: the weights of the last step are used.
        mixed_precision: Multiply in bfloat16 on GPUs that support it; weights, losses and sums stay in float32.
    """
    configure_threads()
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / FIT_RECORD_FILE).exists():
        module.load_state_dict(load_file(folder / BEST_WEIGHTS_FILE))
        return FitRecord(**json.loads((folder / FIT_RECORD_FILE).read_text()))
    dataset = StepBatchDataset(batch_at, schedule.steps, lambda: int(module.global_step))
    batches = DataWaitTimer(Prefetcher(DataLoader(dataset, batch_size=None)))
    callback = CheckpointAndEarlyStop(schedule, folder, validate, batches)
    is_terminal = sys.stderr.isatty()
    trainer = lightning.Trainer(
        accelerator="auto",
        devices=1,
        precision="bf16-mixed" if mixed_precision and has_bfloat16() else "32-true",
        max_steps=schedule.steps,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        default_root_dir=str(folder),
        callbacks=[callback, lightning.callbacks.TQDMProgressBar(refresh_rate=5 if is_terminal else 200)],
    )
    last = folder / LAST_CHECKPOINT_FILE
    trainer.fit(module, batches, ckpt_path=str(last) if last.exists() else None, weights_only=False)
    callback.finish(trainer, module)
    module.load_state_dict(load_file(folder / BEST_WEIGHTS_FILE))
    write_json(folder / FIT_RECORD_FILE, asdict(callback.record))
    last.unlink(missing_ok=True)
    return callback.record


def has_bfloat16() -> bool:
    """Whether there is a GPU with native bfloat16 support."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


class CheckpointAndEarlyStop(lightning.Callback):
    """Seeds each step, validates, saves the best weights and the last state, and stops early without improvement."""

    def __init__(
        self, schedule: Schedule, folder: Path, validate: Callable[[], float] | None, batches: DataWaitTimer
    ) -> None:
        self.schedule, self.folder, self.validate, self.batches = schedule, folder, validate, batches
        self.step_seconds, self._step_began = 0.0, 0.0
        self.record, self.checks_without_improvement, self.loss_sum, self.loss_count = FitRecord(), 0, 0.0, 0
        self._began = time.monotonic()

    @property
    def is_stopped(self) -> bool:
        """Whether the fit has stopped early."""
        return self.checks_without_improvement >= max(self.schedule.patience, 1)

    def on_train_start(self, trainer: Any, *_: Any) -> None:
        trainer.should_stop = self.is_stopped  # if the checkpoint is of the step after which the fit stopped

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        _seed_torch(self.schedule.seed * 1_000_003 + trainer.global_step)
        self._step_began = time.monotonic()

    def on_before_optimizer_step(self, trainer: Any, module: Any, optimizer: Any) -> None:  # noqa: ARG002
        clip_gradients(module.parameters())

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
        step = trainer.global_step
        self.step_seconds += time.monotonic() - self._step_began
        wait_seconds = self.batches.wait_seconds
        self.record.data_wait_share = round(wait_seconds / max(wait_seconds + self.step_seconds, 1e-9), 4)
        self.loss_sum += float(outputs["loss"])
        self.loss_count += 1
        if self.validate and self.schedule.validate_every and step % self.schedule.validate_every == 0:
            self._validate(trainer, module, step)
        if step % self.schedule.checkpoint_every == 0:
            # Renamed after writing, so that a kill in between leaves the previous checkpoint intact.
            writing = self.folder / f"{LAST_CHECKPOINT_FILE}.writing"
            trainer.save_checkpoint(str(writing), weights_only=False)
            writing.replace(self.folder / LAST_CHECKPOINT_FILE)

    def finish(self, trainer: Any, module: Any) -> None:
        """Validate the last step unless that was done, and make sure that weights were saved."""
        validated_steps = {row["step"] for row in self.record.history}
        if self.validate and trainer.global_step not in validated_steps and not self.is_stopped:
            self._validate(trainer, module, trainer.global_step)
        if self.record.value is None:
            self._save_best_weights(module, trainer.global_step)
        self.record.seconds += time.monotonic() - self._began
        _log(f"  {trainer.global_step} steps, {self.record.data_wait_share:.1%} of step time waiting for data")

    def _validate(self, trainer: Any, module: Any, step: int) -> None:
        module.eval()
        with torch.no_grad():
            value = self.validate() if self.validate else 0.0
        module.train()
        loss = self.loss_sum / max(self.loss_count, 1)
        self.record.history.append({"step": step, "value": value, "loss": loss})
        self.loss_sum, self.loss_count = 0.0, 0
        _log(f"  step {step}: loss {loss:.4f}, validation {value:.4f}")
        if self.record.value is None or value > self.record.value:
            self.record.value, self.checks_without_improvement = value, 0
            self._save_best_weights(module, step)
            return
        self.checks_without_improvement += 1
        trainer.should_stop = self.is_stopped

    def _save_best_weights(self, module: Any, step: int) -> None:
        self.record.steps = step
        weights = {name: tensor.detach().contiguous().cpu() for name, tensor in module.state_dict().items()}
        with open_draft(self.folder / BEST_WEIGHTS_FILE) as draft:
            save_file(weights, draft)

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
    """Gradient clipping: scale all gradients, sparse ones included, to a total norm of at most MAX_GRAD_NORM."""
    gradients = []
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            gradients.append(parameter.grad.values())
        elif parameter.grad is not None:
            gradients.append(parameter.grad)
    if not gradients:
        return
    norm = torch.nn.utils.get_total_norm(gradients)
    scale = (MAX_GRAD_NORM / (norm + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(gradients, scale)


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _seed_torch(seed: int) -> None:
    """`torch.manual_seed` without its overhead of recording a traceback per call if there is no accelerator."""
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


class StepBatchDataset(IterableDataset[Any]):
    """The batches of steps `first_step()` to `steps`.

    `first_step` is called when iteration begins, since a model restored from a checkpoint knows its step only then.
    """

    def __init__(self, batch_at: Callable[[int], Any], steps: int, first_step: Callable[[], int] = lambda: 0) -> None:
        self.batch_at, self.steps, self.first_step = batch_at, steps, first_step

    def __iter__(self) -> Iterator[Any]:
        for step in range(self.first_step(), self.steps):
            yield self.batch_at(step)


class Prefetcher:
    """The same batches, made ahead by a thread while the model trains.

    The iterable that makes them must use its own random generator: the global one belongs to the training step.
    """

    def __init__(self, batches: Iterable[Any], buffer_size: int = 2) -> None:
        self.batches, self.buffer_size = batches, buffer_size

    def __iter__(self) -> Iterator[Any]:
        queue: Queue[tuple[bool, Any]] = Queue(maxsize=self.buffer_size)
        is_stopped = Event()
        thread = Thread(target=self._produce, args=(queue, is_stopped), name="batches", daemon=True)
        thread.start()
        try:
            while True:
                is_batch, message = queue.get()
                if is_batch:
                    yield message
                elif message is None:
                    return
                else:
                    raise message
        finally:
            is_stopped.set()
            thread.join()

    def _produce(self, queue: Queue[tuple[bool, Any]], is_stopped: Event) -> None:
        end = None
        try:
            for batch in self.batches:
                if not _put(queue, (True, batch), is_stopped):
                    return
        except BaseException as error:  # any error is raised again in the consuming thread
            end = error
        _put(queue, (False, end), is_stopped)


def _put(queue: Queue[tuple[bool, Any]], message: tuple[bool, Any], is_stopped: Event) -> bool:
    """Put `message` once there is space; False if the consumer has stopped."""
    while not is_stopped.is_set():
        try:
            queue.put(message, timeout=0.1)
        except Full:
            continue
        return True
    return False


class DataWaitTimer:
    """The same batches; `wait_seconds` is the total time that the consumer has waited for them."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self.batches, self.wait_seconds = batches, 0.0

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.batches)
        while True:
            began = time.monotonic()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self.wait_seconds += time.monotonic() - began
            yield batch
