"""Fitting loop of neural models: progress, checkpoints, resuming, early stopping; deterministic for a seed.

Batch i and the random numbers of step i depend only on the seed and on i, so a fit that was killed resumes from its
last checkpoint and ends with the same weights as an uninterrupted one.

Neural channels are optimized by AdamW without weight decay on embeddings, with linear warm-up, then linear decay. The step time
of `SparseAdamW` depends on the rows of an embedding table that were looked up, not on the table: a sparse gradient
(`torch.nn.Embedding(sparse=True)`) names these rows, and only they are updated, so a step over a million tracks takes as long as
one over a thousand. Legend: V rows of a table, R rows looked up, D width.
"""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from storage.files import open_draft, write_json
from training.mlflow_tracking import log_metrics
from training.process import configure_threads

LAST_CHECKPOINT_FILE, BEST_WEIGHTS_FILE, FIT_RECORD_FILE = "last.ckpt", "best.safetensors", "fit.json"
MAX_GRAD_NORM = 1.0
BATCHES_AHEAD = 3


class Objective(ABC):
    """A network with its loss and its optimizer."""

    network: nn.Module

    @abstractmethod
    def training_step(self, batch: Any, step: int, /) -> Tensor:
        """Loss of the batch of a step, from 0."""

    @abstractmethod
    def configure_optimizers(self) -> tuple[Optimizer, LRScheduler]:
        """The optimizer and its learning rate, which changes after every step."""


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
    value: float | None = None  # best validation value
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)  # step, value and mean loss of each validation


@dataclass
class _Progress:
    """What a resumed fit needs besides the weights and the optimizer."""

    record: FitRecord = field(default_factory=FitRecord)
    step: int = 0  # steps done
    checks_without_improvement: int = 0
    losses: list[float] = field(default_factory=list)  # since the last validation


def fit(
    objective: Objective,
    batch_at: Callable[[int], Any],
    schedule: Schedule,
    folder: Path,
    validate: Callable[[], float] | None = None,
    *,
    mixed_precision: bool = False,
) -> FitRecord:
    """Train a network in place and load the weights of its best validation into it.

    Args:
        objective: The network with its loss and optimizer.
        batch_at: Batch of a step, from 0. It must use its own random generator: the global one belongs to the step.
        schedule: Length of the fit and its intervals.
        folder: Checkpoints and results. A fit that finished there is not repeated; its weights are loaded.
        validate: Validation value, higher is better. None: the weights of the last step are used.
        mixed_precision: Multiply in bfloat16 on GPUs that support it; weights, losses and sums stay in float32.
    """
    configure_threads()
    folder.mkdir(parents=True, exist_ok=True)
    network = objective.network
    best, last = folder / BEST_WEIGHTS_FILE, folder / LAST_CHECKPOINT_FILE
    if (folder / FIT_RECORD_FILE).exists():
        network.load_state_dict(load_file(best))
        return FitRecord(**json.loads((folder / FIT_RECORD_FILE).read_text()))
    device = torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    network.to(device)
    optimizer, rate = objective.configure_optimizers()
    parts: dict[str, Any] = {"network": network, "optimizer": optimizer, "rate": rate}
    at = _Progress()
    if last.exists():
        saved = torch.load(last, map_location=device, weights_only=False)
        at = saved.pop("progress")
        for name, state in saved.items():
            parts[name].load_state_dict(state)
    record, began = at.record, time.monotonic() - at.record.seconds
    use_bfloat16 = mixed_precision and has_bfloat16()
    with (
        closing(prefetch(batch_at, range(at.step, schedule.steps))) as batches,
        tqdm(
            desc="fit", unit="step", initial=at.step, total=schedule.steps, mininterval=1 if sys.stderr.isatty() else 30
        ) as bar,
    ):
        while at.step < schedule.steps and at.checks_without_improvement < max(schedule.patience, 1):
            batch = to_device(next(batches), device)
            _seed_torch(schedule.seed * 1_000_003 + at.step)
            with torch.autocast(device.type, torch.bfloat16, enabled=use_bfloat16):
                loss = objective.training_step(batch, at.step)
            optimizer.zero_grad()
            loss.backward()
            clip_gradients(network.parameters())
            optimizer.step()
            rate.step()
            at.step += 1
            at.losses.append(float(loss.detach()))
            bar.update()
            if validate and schedule.validate_every and at.step % schedule.validate_every == 0:
                _validate(network, validate, at, best)
            if at.step % schedule.checkpoint_every == 0:
                record.seconds = time.monotonic() - began
                with open_draft(last) as draft:
                    torch.save({"progress": at} | {name: part.state_dict() for name, part in parts.items()}, draft)
    if validate and at.step not in {row["step"] for row in record.history}:
        _validate(network, validate, at, best)
    if record.value is None:
        _save_best_weights(network, at, best)
    record.seconds = time.monotonic() - began
    network.cpu().load_state_dict(load_file(best))
    write_json(folder / FIT_RECORD_FILE, asdict(record))
    last.unlink(missing_ok=True)
    return record


def has_bfloat16() -> bool:
    """Whether there is a GPU with native bfloat16 support."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def _validate(network: nn.Module, validate: Callable[[], float], at: _Progress, best: Path) -> None:
    network.eval()
    with torch.no_grad():
        value = validate()
    network.train()
    loss = sum(at.losses) / max(len(at.losses), 1)
    at.losses = []
    at.record.history.append({"step": at.step, "value": value, "loss": loss})
    log_metrics({"value": value, "loss": loss}, at.step)
    tqdm.write(f"  step {at.step}: loss {loss:.4f}, validation {value:.4f}", sys.stderr)
    at.checks_without_improvement += 1
    if at.record.value is None or value > at.record.value:
        at.record.value, at.checks_without_improvement = value, 0
        _save_best_weights(network, at, best)


def _save_best_weights(network: nn.Module, at: _Progress, best: Path) -> None:
    at.record.steps = at.step
    weights = {name: tensor.detach().contiguous().cpu() for name, tensor in network.state_dict().items()}
    with open_draft(best) as draft:
        save_file(weights, draft)


def clip_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Gradient clipping: scale all gradients, sparse ones included, to a total norm of at most MAX_GRAD_NORM."""
    gradients = []
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()
            gradients.append(parameter.grad.values())
        elif parameter.grad is not None:
            gradients.append(parameter.grad)
    norm = torch.nn.utils.get_total_norm(gradients)
    scale = (MAX_GRAD_NORM / (norm + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(gradients, scale)


def _seed_torch(seed: int) -> None:
    """`torch.manual_seed` without its overhead of recording a traceback per call if there is no accelerator."""
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch of tensors, tuples, dictionaries and dataclasses of them, and other values, on a device."""
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, tuple):
        return tuple(to_device(part, device) for part in batch)
    if isinstance(batch, dict):
        return {name: to_device(part, device) for name, part in batch.items()}
    return replace(batch, **to_device(vars(batch), device)) if is_dataclass(batch) else batch  # type: ignore[type-var]


def prefetch(batch_at: Callable[[int], Any], steps: range) -> Generator[Any]:
    """The batches of some steps, made ahead by a thread while the model trains."""
    pool = ThreadPoolExecutor(1, "batches")
    try:
        ahead = deque(pool.submit(batch_at, step) for step in steps[:BATCHES_AHEAD])
        for step in steps:
            batch = ahead.popleft().result()
            if step + BATCHES_AHEAD in steps:
                ahead.append(pool.submit(batch_at, step + BATCHES_AHEAD))
            yield batch
    finally:
        pool.shutdown(cancel_futures=True)


def build_optimizer(network: nn.Module, rates: Any) -> tuple[SparseAdamW, torch.optim.lr_scheduler.LambdaLR]:
    """The optimizer and its learning rate, which decays to a twentieth at `steps`; `rates` are the config's `optimizer`."""
    tables = [module.weight for module in network.modules() if isinstance(module, nn.Embedding)]
    table_ids = {id(table) for table in tables}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in table_ids]
    groups = [
        {"params": tables, "weight_decay": 0.0},
        {"params": [parameter for parameter in rest if parameter.requires_grad], "weight_decay": rates.weight_decay},
    ]
    optimizer = SparseAdamW(groups, lr=rates.learning_rate, fused=True)
    warmup, steps = max(rates.warmup, 1), max(rates.steps, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warmup) * max(0.05, 1 - step / steps)
    )
    return optimizer, schedule


class SparseAdamW(torch.optim.AdamW):
    """AdamW that updates parameters with sparse gradients by row.

    Adam with dense gradients keeps moving a row for about ten steps after a lookup. Here a row without a first moment
    moves by the sum of these updates at once, and its second moment is unchanged while the row is not looked up.
    Difference to `torch.optim.SparseAdam`, which keeps the first moment and therefore moves a rare row a tenth as far.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update all parameters once. Parameters with sparse gradients must not have weight decay, which changes every row."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None and table.grad.is_sparse:
                    self._update_rows(table, group)
                    table.grad = None
        return super().step(closure)

    def _update_rows(self, table_VD: Tensor, group: dict[str, Any]) -> None:
        state, second = self.state[table_VD], group["betas"][1]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg_sq"] = torch.zeros_like(table_VD)
        state["step"] += 1
        gradient = table_VD.grad.coalesce()  # type: ignore[union-attr]
        row_R, gradient_RD = gradient.indices()[0], gradient.values()
        square_RD = (
            state["exp_avg_sq"].index_select(0, row_R).mul_(second).addcmul_(gradient_RD, gradient_RD, value=1 - second)
        )
        state["exp_avg_sq"].index_copy_(0, row_R, square_RD)
        size_RD = square_RD.div_(1 - second ** float(state["step"])).sqrt_().add_(group["eps"])
        table_VD.index_add_(0, row_R, gradient_RD / size_RD, alpha=-float(group["lr"]))
