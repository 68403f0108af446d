"""Data-parallel training: the ranks that train one model together, and what they exchange.

torchrun starts the ranks: `torchrun --standalone --nproc-per-node 2 -m training.train …`. Each rank computes its rows
of every batch, and `DistributedDataParallel` averages the gradients. To make the result independent of the number of
ranks, means over unequal counts are weighted (`weight_for_global_mean`) and random draws for a whole batch come from a
generator that all ranks share (`shared_generator`). A single process skips all communication.
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

COLLECTIVE_TIMEOUT = timedelta(hours=12)  # ranks wait while rank 0 validates, grows trees and tunes an index
MAX_RESTARTS = 3  # restarts of all ranks by torchrun after one died; each resumes from the last checkpoint
SEPARATE_STORE_VARIABLE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"
"""Set to 1, torchrun gives each restart its own rendezvous store.

Otherwise restarted ranks may read the addresses of dead ranks from the shared store and fail to connect (pytorch#135712).
"""
PARENT_POLL_SECONDS = 0.5


class NotRank0(Exception):
    """The rest of the work is done by rank 0 only."""


def rank_and_world_size() -> tuple[int, int]:
    """Rank of this process and number of ranks; (0, 1) for a single process."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def is_distributed() -> bool:
    """Whether several ranks train the model."""
    return rank_and_world_size()[1] > 1


def is_rank0() -> bool:
    """Whether this is rank 0, the only one that writes files."""
    return rank_and_world_size()[0] == 0


def is_torchrun_worker() -> bool:
    """Whether torchrun started this process."""
    return torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()


def launch_torchrun(ranks: int) -> None:
    """Replace this process by torchrun, which runs this command with `ranks` ranks sharing the cores equally."""
    threads = max(1, (os.cpu_count() or 1) // ranks)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault(SEPARATE_STORE_VARIABLE, "1")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    command = [*torchrun, "--max-restarts", str(MAX_RESTARTS), *_current_command()]
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606


@contextmanager
def process_group() -> Iterator[None]:
    """Context in which the processes started by torchrun form a process group; at its end all wait for rank 0.

    Does nothing in a single process.
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
            f"set {SEPARATE_STORE_VARIABLE}=1 before torchrun; otherwise ranks may fail to reconnect after a restart",
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
    """Stop all ranks but rank 0.

    Raises:
        NotRank0: this is another rank.
    """
    if not is_rank0():
        raise NotRank0


def broadcast_from_rank0(compute: Callable[[], float]) -> float:
    """The result of `compute`, which is called on rank 0 only, on all ranks."""
    if not is_distributed():
        return compute()
    value = torch.tensor([compute() if is_rank0() else 0.0], dtype=torch.float64)
    torch.distributed.broadcast(value, 0)
    return float(value)


def rank_slice(count: int) -> slice:
    """This rank's part of `count` rows, which are split over the ranks in order and as evenly as possible."""
    rank, ranks = rank_and_world_size()
    return slice(count * rank // ranks, count * (rank + 1) // ranks)


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Sum over all ranks, differentiable."""
    summed: Tensor = _AllReduceSum.apply(tensor) if is_distributed() else tensor
    return summed


def all_reduce_mean(value: float) -> float:
    """Mean over all ranks."""
    if not is_distributed():
        return value
    return float(all_reduce_sum(torch.tensor([value], dtype=torch.float64))) / rank_and_world_size()[1]


def weight_for_global_mean(mean: Tensor, count: Tensor | int) -> Tensor:
    """`mean` of this rank's `count` values, weighted so that the mean over ranks equals the mean over all values."""
    _, ranks = rank_and_world_size()
    if ranks == 1:
        return mean
    own = torch.as_tensor(count, device=mean.device).to(mean.dtype)
    weight = ranks * own / all_reduce_sum(own).clamp(min=1)
    # The mean of zero values is NaN.
    return torch.where(own > 0, mean * weight, 0.0)


def all_gather_rows(rows: Tensor) -> tuple[Tensor, int]:
    """The rows of all ranks, in order of the ranks, and the offset of this rank's rows; not differentiable."""
    rank, ranks = rank_and_world_size()
    if ranks == 1:
        return rows, 0
    count_R = _all_gather(torch.tensor([len(rows)], device=rows.device), ranks)
    counts = [int(count) for count in count_R]
    if not max(counts):
        return rows, 0
    padded = rows.new_zeros((max(counts), *rows.shape[1:]))
    padded[: len(rows)] = rows.detach()
    parts = [part[:count] for part, count in zip(_all_gather(padded, ranks), counts, strict=True)]
    return torch.cat(parts), sum(counts[:rank])


def seed_step(number: int) -> int:
    """Seed the shared generator for a step.

    Args:
        number: Seed of all draws that the ranks share (`shared_generator`).

    Returns:
        Seed of the draws that each rank makes by itself, for example dropout; `number` in a single process.
    """
    rank, ranks = rank_and_world_size()
    if ranks == 1:
        return number
    _cached_generator().manual_seed(number)
    return number + ((rank + 1) << 32)


def shared_generator() -> torch.Generator | None:
    """Generator of draws that all ranks share; None (torch's default generator) in a single process."""
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
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        # The loss of every rank depends on each rank's summand.
        return all_reduce_sum(gradient)


def _all_gather(tensor: Tensor, ranks: int) -> list[Tensor]:
    parts = [torch.empty_like(tensor) for _ in range(ranks)]
    torch.distributed.all_gather(parts, tensor)
    return parts


def _current_command() -> list[str]:
    """Arguments that start this program again."""
    module = sys.modules["__main__"].__spec__
    return ["-m", module.name, *sys.argv[1:]] if module is not None else sys.argv


def _exit_with_parent(parent: int) -> None:
    """Exit when torchrun exits; otherwise ranks would keep running after torchrun was killed."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(1)
