"""Processes that train one model together, each of them a rank: which one this is, what all of them know, and what the
first does alone.

torchrun starts them: `torchrun --standalone --nproc-per-node 2 -m training.train …`. Every rank works on its rows of each
batch, and `DistributedDataParallel` makes the mean of their gradients. A mean over things of which ranks have unequal
numbers is weighed before (`weighted`), and what is drawn for a whole batch is drawn by all ranks alike (`draws`), so that a
batch says the same whoever shares it. A process that trains alone weighs, gathers and waits for nothing. Knows nothing
about models or batches.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from typing import Any

import torch
import torch.distributed
from torch import Tensor

PATIENCE = timedelta(hours=12)
"""How long ranks wait for the first one, which validates, grows trees and chooses an index alone."""
RESTARTS = 3
"""How often torchrun starts all ranks again when one of them died; each time they go on from the last checkpoint."""
OWN_STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
"""Set to 1, torchrun gives each start of the ranks a store of its own. Else ranks that start again may read the addresses
that dead ones left in the store, and end by connecting to them (pytorch#135712).
"""
LOOKS_EVERY_S = 0.5


class LeftToFirst(Exception):
    """What follows is done by the first rank alone."""


def rank_of_ranks() -> tuple[int, int]:
    """This process's place among those that train one model together; (0, 1) when it trains alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def are_several() -> bool:
    """Whether others train the same model."""
    return rank_of_ranks()[1] > 1


def is_first() -> bool:
    """Whether this is the rank that writes."""
    return rank_of_ranks()[0] == 0


def is_started() -> bool:
    """Whether torchrun started this process."""
    return torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()


def start(ranks: int) -> None:
    """Become torchrun, which starts this very command `ranks` times on this machine; the cores are shared evenly."""
    threads = max(1, (os.cpu_count() or 1) // ranks)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault(OWN_STORE, "1")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    command = [*torchrun, "--max-restarts", str(RESTARTS), *_this_command()]
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606


@contextmanager
def together() -> Iterator[None]:
    """In here the processes that torchrun started are ranks of one group; at the end they wait for the first. Nothing to a
    process alone.
    """
    if not is_started() or int(os.environ["WORLD_SIZE"]) == 1:
        yield
        return
    if (
        os.environ["RANK"] == "0"
        and os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0"
        and os.environ.get(OWN_STORE) != "1"
    ):
        warnings.warn(
            f"set {OWN_STORE}=1 before torchrun, or ranks may not find each other when one died", stacklevel=2
        )
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    is_on_devices = torch.cuda.is_available()
    if is_on_devices:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if is_on_devices else "gloo", timeout=PATIENCE)
    with suppress(LeftToFirst):
        yield
    total(torch.zeros(1))
    torch.distributed.destroy_process_group()


def leave_to_first() -> None:
    """Only the first rank goes on.

    Raises:
        LeftToFirst: this is another one.
    """
    if not is_first():
        raise LeftToFirst


def first_says(ask: Callable[[], float]) -> float:
    """What `ask` answers on the first rank, told to all."""
    if not are_several():
        return ask()
    said = torch.tensor([ask() if is_first() else 0.0], dtype=torch.float64)
    torch.distributed.broadcast(said, 0)
    return float(said)


def share(count: int) -> slice:
    """The rows of this rank among so many, which the ranks take in order and as evenly as may be."""
    rank, ranks = rank_of_ranks()
    return slice(count * rank // ranks, count * (rank + 1) // ranks)


def total(tensor: Tensor) -> Tensor:
    """The sum over all ranks, with its gradient."""
    summed: Tensor = _Total.apply(tensor) if are_several() else tensor
    return summed


def mean(value: float) -> float:
    """The mean over all ranks."""
    if not are_several():
        return value
    return float(total(torch.tensor([value], dtype=torch.float64))) / rank_of_ranks()[1]


def weighted(mean: Tensor, count: Tensor | int) -> Tensor:
    """`mean` over `count` things of this rank, so weighed that the mean over ranks is the one over all their things."""
    _, ranks = rank_of_ranks()
    if ranks == 1:
        return mean
    own = torch.as_tensor(count, device=mean.device).to(mean.dtype)
    weight = ranks * own / total(own).clamp(min=1)
    # A mean of nothing is no number.
    return torch.where(own > 0, mean * weight, 0.0)


def joined(rows: Tensor) -> tuple[Tensor, int]:
    """The rows of all ranks in their order, and where this rank's begin; without a gradient."""
    rank, ranks = rank_of_ranks()
    if ranks == 1:
        return rows, 0
    count_R = _gathered(torch.tensor([len(rows)], device=rows.device), ranks)
    counts = [int(count) for count in count_R]
    if not max(counts):
        return rows, 0
    padded = rows.new_zeros((max(counts), *rows.shape[1:]))
    padded[: len(rows)] = rows.detach()
    kept = [part[:count] for part, count in zip(_gathered(padded, ranks), counts, strict=True)]
    return torch.cat(kept), sum(counts[:rank])


def seed(number: int) -> int:
    """Begin a step: `number` decides what all ranks draw alike (`draws`). Returns the seed of what each draws for itself,
    as dropout does; alone it is `number`.
    """
    rank, ranks = rank_of_ranks()
    if ranks == 1:
        return number
    _alike().manual_seed(number)
    return number + ((rank + 1) << 32)


def draws() -> torch.Generator | None:
    """What draws for a batch that ranks share; None, which is torch's own generator, where there is one rank."""
    return _alike() if are_several() else None


@cache
def _alike() -> torch.Generator:
    return torch.Generator()


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ARG004
        summed = tensor.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:  # noqa: ARG004
        # What one rank adds to the sum, every rank's loss depends on.
        return total(slope)


def _gathered(tensor: Tensor, ranks: int) -> list[Tensor]:
    parts = [torch.empty_like(tensor) for _ in range(ranks)]
    torch.distributed.all_gather(parts, tensor)
    return parts


def _this_command() -> list[str]:
    """The arguments that start this program again."""
    module = sys.modules["__main__"].__spec__
    return ["-m", module.name, *sys.argv[1:]] if module is not None else sys.argv


def _end_with(parent: int) -> None:
    """End when torchrun does: whoever kills it wants the ranks to end, which would go on without it."""
    while os.getppid() == parent:
        time.sleep(LOOKS_EVERY_S)
    os._exit(1)
