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

COLLECTIVE_TIMEOUT = timedelta(hours=12)
"""How long ranks wait for the first one, which validates, grows trees and chooses an index alone."""
MAX_RESTARTS = 3
"""How often torchrun starts all ranks again when one of them died; each time they go on from the last checkpoint."""
SEPARATE_STORE_VARIABLE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
"""Set to 1, torchrun gives each start of the ranks a store of its own. Else ranks that start again may read the addresses
that dead ones left in the store, and end by connecting to them (pytorch#135712).
"""
PARENT_POLL_SECONDS = 0.5


class NotRank0(Exception):
    """What follows is done by the first rank alone."""


def rank_and_world_size() -> tuple[int, int]:
    """This process's place among those that train one model together; (0, 1) when it trains alone."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def is_distributed() -> bool:
    """Whether others train the same model."""
    return rank_and_world_size()[1] > 1


def is_rank0() -> bool:
    """Whether this is the rank that writes."""
    return rank_and_world_size()[0] == 0


def is_torchrun_worker() -> bool:
    """Whether torchrun started this process."""
    return torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()


def launch_torchrun(ranks: int) -> None:
    """Become torchrun, which starts this very command `ranks` times on this machine; the cores are shared evenly."""
    threads = max(1, (os.cpu_count() or 1) // ranks)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault(SEPARATE_STORE_VARIABLE, "1")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    command = [*torchrun, "--max-restarts", str(MAX_RESTARTS), *_current_command()]
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606


@contextmanager
def process_group() -> Iterator[None]:
    """In here the processes that torchrun started are ranks of one group; at the end they wait for the first. Nothing to a
    process alone.
    """
    if not is_torchrun_worker() or int(os.environ["WORLD_SIZE"]) == 1:
        yield
        return
    if (
        os.environ["RANK"] == "0"
        and os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0"
        and os.environ.get(SEPARATE_STORE_VARIABLE) != "1"
    ):
        warnings.warn(
            f"set {SEPARATE_STORE_VARIABLE}=1 before torchrun, or ranks may not find each other when one died",
            stacklevel=2,
        )
    threading.Thread(target=_exit_with_parent, args=(os.getppid(),), daemon=True).start()
    is_on_devices = torch.cuda.is_available()
    if is_on_devices:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if is_on_devices else "gloo", timeout=COLLECTIVE_TIMEOUT)
    with suppress(NotRank0):
        yield
    all_reduce_sum(torch.zeros(1))
    torch.distributed.destroy_process_group()


def require_rank0() -> None:
    """Only the first rank goes on.

    Raises:
        LeftToFirst: this is another one.
    """
    if not is_rank0():
        raise NotRank0


def broadcast_from_rank0(ask: Callable[[], float]) -> float:
    """What `ask` answers on the first rank, told to all."""
    if not is_distributed():
        return ask()
    said = torch.tensor([ask() if is_rank0() else 0.0], dtype=torch.float64)
    torch.distributed.broadcast(said, 0)
    return float(said)


def rank_slice(count: int) -> slice:
    """The rows of this rank among so many, which the ranks take in order and as evenly as may be."""
    rank, ranks = rank_and_world_size()
    return slice(count * rank // ranks, count * (rank + 1) // ranks)


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """The sum over all ranks, with its gradient."""
    summed: Tensor = _AllReduceSum.apply(tensor) if is_distributed() else tensor
    return summed


def all_reduce_mean(value: float) -> float:
    """The mean over all ranks."""
    if not is_distributed():
        return value
    return float(all_reduce_sum(torch.tensor([value], dtype=torch.float64))) / rank_and_world_size()[1]


def weight_for_global_mean(mean: Tensor, count: Tensor | int) -> Tensor:
    """`mean` over `count` things of this rank, so weighed that the mean over ranks is the one over all their things."""
    _, ranks = rank_and_world_size()
    if ranks == 1:
        return mean
    own = torch.as_tensor(count, device=mean.device).to(mean.dtype)
    weight = ranks * own / all_reduce_sum(own).clamp(min=1)
    # A mean of nothing is no number.
    return torch.where(own > 0, mean * weight, 0.0)


def all_gather_rows(rows: Tensor) -> tuple[Tensor, int]:
    """The rows of all ranks in their order, and where this rank's begin; without a gradient."""
    rank, ranks = rank_and_world_size()
    if ranks == 1:
        return rows, 0
    count_R = _all_gather(torch.tensor([len(rows)], device=rows.device), ranks)
    counts = [int(count) for count in count_R]
    if not max(counts):
        return rows, 0
    padded = rows.new_zeros((max(counts), *rows.shape[1:]))
    padded[: len(rows)] = rows.detach()
    kept = [part[:count] for part, count in zip(_all_gather(padded, ranks), counts, strict=True)]
    return torch.cat(kept), sum(counts[:rank])


def seed_step(number: int) -> int:
    """Begin a step: `number` decides what all ranks draw alike (`draws`). Returns the seed of what each draws for itself,
    as dropout does; alone it is `number`.
    """
    rank, ranks = rank_and_world_size()
    if ranks == 1:
        return number
    _cached_generator().manual_seed(number)
    return number + ((rank + 1) << 32)


def shared_generator() -> torch.Generator | None:
    """What draws for a batch that ranks share; None, which is torch's own generator, where there is one rank."""
    return _cached_generator() if is_distributed() else None


@cache
def _cached_generator() -> torch.Generator:
    return torch.Generator()


class _AllReduceSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ARG004
        summed = tensor.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:  # noqa: ARG004
        # What one rank adds to the sum, every rank's loss depends on.
        return all_reduce_sum(slope)


def _all_gather(tensor: Tensor, ranks: int) -> list[Tensor]:
    parts = [torch.empty_like(tensor) for _ in range(ranks)]
    torch.distributed.all_gather(parts, tensor)
    return parts


def _current_command() -> list[str]:
    """The arguments that start this program again."""
    module = sys.modules["__main__"].__spec__
    return ["-m", module.name, *sys.argv[1:]] if module is not None else sys.argv


def _exit_with_parent(parent: int) -> None:
    """End when torchrun does: whoever kills it wants the ranks to end, which would go on without it."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(1)
