"""Training of sequence models: windows of the event table in which every position may have targets, and their loss.

Targets of a position: `next`, one of the next `horizon` listened tracks; `new`, one of the next `horizon` tracks that
the user listens to for the first time. 0 = no target. Skipped tracks are inputs, but never targets.

The loss is a sampled softmax with logQ correction. In-batch negatives are targets of other positions, so popular items are
frequent among them; uniform negatives cover the rest of the catalog. Subtracting the logarithm of an item's expected number of
draws from its logit makes the estimate consistent with the full softmax (Bengio, Senécal 2008; Yi et al.,
"Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019).

Legend: E events, N marked events or negatives, U users, B windows, L events of a window, F = B · L positions of a batch, P distinct
positions that contribute, M positions of one task or positives, D width, V vocabulary.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from recommender.recall.next_item import TASKS, NeuralChannelConfig, NextItemConfig
from recommender.recall.sequence_merge import POSITIVE_BEHAVIORS
from sequences import behaviors
from sequences.sequence_batch import FIRST_CODE, find_reversed
from training.data.plays import PARTS
from training.data.training_data import TrainingData
from training.networks.next_item import NextItemNetwork
from training.trainer import Objective, build_optimizer


class WindowSampler:
    """Random windows of the training events of `data`. A batch depends on (seed, step) only.

    Args:
        data: Training data; only events known by the user's last `train` play are used.
        length: Maximum number of events of a window, L.
        sampling: Its `horizon`: a target is one of the next `horizon` events of its kind. Its `user_sampling_exponent`: users
            are drawn with probability proportional to events ** exponent, because evaluation weights users equally and the log
            does not.
        has_listens_only: Whether windows contain only events that may be targets, known tracks that were listened to.
    """

    def __init__(self, data: TrainingData, length: int, sampling: Any, *, has_listens_only: bool = False) -> None:
        reader = data.reader("recent_events")
        self.length, self.horizon = length, sampling.horizon
        item_E, behavior_E = reader.columns["track_id"], reader.columns["behavior"]
        last_U = _last_train_time(data, reader.users)
        is_train_E = reader.known_at_E <= np.repeat(last_U, np.diff(reader.offset_U1))
        user_E = np.repeat(np.arange(len(reader.users), dtype=np.int32), np.diff(reader.offset_U1))
        code = behaviors.load_behaviors().encoder
        # As in requests, reversals are no events of a sequence; what they take back is an input, but no target.
        is_event_E, is_reversed_E = find_reversed(item_E, behavior_E, user_E, is_train_E)
        is_positive_E = (
            np.isin(behavior_E, [code[name] for name in POSITIVE_BEHAVIORS])
            & is_train_E
            & (item_E >= FIRST_CODE)
            & ~is_reversed_E
        )
        is_event_E &= ~data.profile_exclusions.contains(
            reader.users, reader.offset_U1, item_E, reader.columns["ended_at"]
        )
        self.count_V = np.bincount(item_E[is_event_E & is_train_E], minlength=len(data.vocabulary))
        if has_listens_only:
            is_event_E &= is_positive_E
        self.item_E, self.behavior_E = item_E[is_event_E], behavior_E[is_event_E]
        is_train_E = is_train_E[is_event_E]
        user_E = user_E[is_event_E]
        began_E, ended_E = (reader.columns[name][is_event_E] for name in ("occurred_at", "ended_at"))
        self.first_U = np.concatenate([[0], np.cumsum(is_event_E)])[reader.offset_U1[:-1]]
        train_events_U = np.bincount(user_E, weights=is_train_E, minlength=len(reader.users)).astype(np.int64)
        self.end_U = self.first_U + train_events_U
        self.gap_E = np.maximum(began_E - np.concatenate([[0], ended_E[:-1]]), 0) if len(ended_E) else ended_E
        self.gap_E[self.first_U[self.first_U < len(self.gap_E)]] = 0  # the last users may have no events left
        is_positive_E = is_positive_E[is_event_E]
        user_item_E = user_E * np.int64(len(data.vocabulary)) + self.item_E
        is_first_E = np.zeros(len(user_item_E), dtype=bool)
        is_first_E[np.unique(user_item_E, return_index=True)[1]] = True
        self.target_N = {"next": np.flatnonzero(is_positive_E), "new": np.flatnonzero(is_positive_E & is_first_E)}
        events_U = self.end_U - self.first_U
        weight_U = np.where(events_U > 1, events_U.astype(np.float64) ** sampling.user_sampling_exponent, 0)
        self.probability_U = weight_U / max(weight_U.sum(), 1e-12)
        event_weight_E = (weight_U / np.maximum(events_U, 1))[user_E]
        share = np.bincount(self.item_E[is_positive_E], weights=event_weight_E[is_positive_E])
        self.target_share_V = np.zeros(len(data.vocabulary))
        self.target_share_V[: len(share)] = share / max(share.sum(), 1e-12)

    def __len__(self) -> int:
        """Number of training events; 0 if no user has at least two."""
        return int((self.end_U - self.first_U).sum()) if self.probability_U.sum() > 0 else 0

    def steps(self, passes: float, batch: int) -> int:
        """Steps of `batch` windows that read `passes` times as many events as there are."""
        return math.ceil(passes * len(self) / (batch * self.length))

    def windows(self, seed: int, step: int, batch: int) -> dict[str, np.ndarray]:
        """The `batch` windows of a step, [B, L] each, padded right with 0.

        `item_BL`, `behavior_BL`: codes. `gap_BL`: µs since the previous event (0 for a user's first). `query_gap_BL`: µs
        until the next event begins, which is when the target is predicted. `next_BL`, `new_BL`: target items.
        """
        generator = np.random.default_rng((seed, step))
        user_B = generator.choice(len(self.first_U), size=batch, p=self.probability_U)
        first_B, end_B = self.first_U[user_B], self.end_U[user_B]
        # The last event of a window is drawn uniformly; the window extends back as far as possible.
        last_B = first_B + (generator.random(batch) * (end_B - first_B)).astype(np.int64)
        pick = [generator.random((batch, self.length)) for _ in range(2)]
        start_B = np.maximum(first_B, last_B - self.length + 1)
        position_BL = start_B[:, None] + np.arange(self.length)
        is_event_BL = position_BL <= last_B[:, None]
        safe_BL = np.minimum(position_BL, len(self.item_E) - 1)
        following_BL = np.minimum(safe_BL + 1, len(self.item_E) - 1)
        columns = {
            "item_BL": self.item_E[safe_BL],
            "behavior_BL": self.behavior_E[safe_BL],
            "gap_BL": self.gap_E[safe_BL],
            "query_gap_BL": self.gap_E[following_BL],
        } | {
            f"{task}_BL": _sample_target(marked_N, safe_BL, end_B[:, None], self.horizon, pick_BL, self.item_E)
            for (task, marked_N), pick_BL in zip(self.target_N.items(), pick, strict=True)
        }
        return {name: np.where(is_event_BL, column, np.int64(0)) for name, column in columns.items()}


def _sample_target(
    marked_N: np.ndarray, position: np.ndarray, end: np.ndarray, horizon: int, pick: np.ndarray, item_E: np.ndarray
) -> np.ndarray:
    """Item of one of the next `horizon` marked events after `position` and before `end`; 0 if there is none.

    Args:
        marked_N: Positions of the marked events.
        position: Event positions, any shape.
        end: End of the user's events, broadcastable to `position`.
        horizon: Number of marked events to choose from.
        pick: Uniform random numbers in 0..1 that choose the event, shape of `position`.
        item_E: Item of each event.
    """
    if not len(marked_N):
        return np.zeros_like(position)
    begin = np.searchsorted(marked_N, position, side="right")
    stop = np.minimum(begin + horizon, np.searchsorted(marked_N, end))
    chosen = np.minimum(begin + (pick * (stop - begin)).astype(np.int64), len(marked_N) - 1)
    return np.where(stop > begin, item_E[marked_N[chosen]], 0)


def _last_train_time(data: TrainingData, users: list[str]) -> np.ndarray:
    """`known_at` (µs) of the last `train` play of each user; the minimum int64 for a user without one."""
    plays, never = data.plays, np.iinfo(np.int64).min
    is_train_P = plays.part_P == PARTS.index("train")
    last_U = np.full(len(data.user_ids_U), never)
    np.maximum.at(last_U, plays.user_P[is_train_P], plays.known_at_P[is_train_P])
    last_by_user = dict(zip(data.user_ids_U.tolist(), last_U.tolist(), strict=True))
    return np.array([last_by_user.get(user, never) for user in users], dtype=np.int64)


class ChannelObjective(Objective):
    """The network of a neural channel with its loss."""

    config: NeuralChannelConfig

    @abstractmethod
    def batch_at(self, step: int) -> Any:
        """The batch of a step, from 0."""

    def configure_optimizers(self) -> tuple[Optimizer, LRScheduler]:
        """See `build_optimizer`."""
        return build_optimizer(self.network, self.config.optimizer)


class WindowLoss(ChannelObjective):
    """Weighted sum of the losses of the tasks over windows of events.

    Args:
        network: The network that is trained.
        config: Config of the channel.
        sampler: Source of the windows.
        is_item_V: Tracks that may be candidates.
    """

    tasks: Sequence[str] = TASKS

    def __init__(
        self,
        network: NextItemNetwork,
        config: NextItemConfig,
        sampler: WindowSampler,
        is_item_V: np.ndarray,
    ) -> None:
        self.network: NextItemNetwork = network
        self.config: NextItemConfig = config
        self._sampler = sampler
        self.item_loss = SampledSoftmaxLoss(network, sampler.target_share_V, is_item_V, config.loss)

    def batch_at(self, step: int) -> dict[str, Tensor]:
        """See `WindowSampler.windows`."""
        windows = self._sampler.windows(self.config.seed, step, self.config.sampling.batch)
        return {name: torch.from_numpy(column) for name, column in windows.items()}

    def training_step(self, windows: dict[str, Tensor], _: int = 0) -> Tensor:
        """Weighted sum of the tasks' losses."""
        flat = {name: column.flatten() for name, column in windows.items()}
        weights = {"next": 1.0, "new": self.config.loss.discovery_weight}
        sampled = {task: self._sample_positions(flat[f"{task}_BL"]) for task in self.tasks}
        # A position that both tasks use is encoded once.
        place_P, index_M = torch.cat(list(sampled.values())).unique(return_inverse=True)
        item_BL, behavior_BL, gap_BL = (windows[name] for name in ("item_BL", "behavior_BL", "gap_BL"))
        L = item_BL.shape[1]
        state_PD = self.network.states_at(item_BL, behavior_BL, gap_BL, place_P // L, place_P % L)
        loss = state_PD.sum() * 0
        for task, place_M in sampled.items():
            own_M, index_M = index_M.tensor_split([len(place_M)])
            if not len(place_M):
                continue
            query_MD = self.network.query(task, state_PD[own_M], flat["query_gap_BL"][place_M])
            loss = loss + weights[task] * self.item_loss(task, query_MD, flat[f"{task}_BL"][place_M])
        return loss

    def _sample_positions(self, target_F: Tensor) -> Tensor:
        """Sampled positions that have a target.

        The softmax costs positions × negatives, and neighboring positions have similar states, so only
        `positions_per_batch` positions are used.
        """
        place_M = torch.nonzero(target_F).flatten()
        return place_M[torch.randperm(len(place_M))[: self.config.sampling.positions_per_batch]]


def logq_correction(share_V: Tensor, is_item_V: Tensor, in_batch: int, uniform: int) -> Tensor:
    """Logarithm of the expected number of draws of each item, [V].

    Args:
        share_V: Share of each item among the targets, the distribution of in-batch negatives.
        is_item_V: Items of the catalog, from which uniform negatives are drawn.
        in_batch: Number of in-batch negatives.
        uniform: Number of uniform negatives.
    """
    draws_V = in_batch * share_V + uniform * is_item_V.float() / is_item_V.sum().clamp(min=1)
    return draws_V.clamp(min=1e-12).log()


def sampled_softmax(
    query_MD: Tensor,
    positive_MD: Tensor,
    negative_ND: Tensor,
    positive_M: Tensor,
    negative_N: Tensor,
    *,
    logq_V: Tensor,
    scale: Tensor,
) -> Tensor:
    """Mean cross-entropy of the positives against sampled negatives.

    Accidental hits (negatives equal to the positive of a position) are masked.

    Args:
        query_MD: Queries.
        positive_MD: Vectors of the positives.
        negative_ND: Vectors of the negatives, shared by all positions.
        positive_M: Items of the positives.
        negative_N: Items of the negatives.
        logq_V: Correction by item (`logq_correction`).
        scale: Factor of the inner products, 1 / temperature for normalized vectors.
    """
    positive_logit_M = scale * (query_MD * positive_MD).sum(-1) - logq_V[positive_M]
    is_hit_MN = positive_M[:, None] == negative_N
    # The correction is appended as a vector component, which is cheaper than adding it to all logits.
    extended_query_MY = functional.pad(scale * query_MD, (0, 1), value=1.0)
    extended_negative_NY = torch.cat([negative_ND, -logq_V[negative_N, None]], dim=1)
    logits = [positive_logit_M, _LogSumExp.apply(extended_query_MY, extended_negative_NY, is_hit_MN)]
    return functional.cross_entropy(torch.stack(logits, dim=1), torch.zeros_like(positive_M))


class _LogSumExp(torch.autograd.Function):
    """Log-sum-exp of query · item over unmasked items [M], -inf if all are masked; products [M, N] are not copied."""

    @staticmethod
    def forward(ctx: Any, query_MD: Tensor, item_ND: Tensor, is_masked_MN: Tensor) -> Tensor:
        product_MN = (query_MD @ item_ND.T).masked_fill_(is_masked_MN, -torch.inf)
        max_M = product_MN.amax(1).clamp(min=torch.finfo(product_MN.dtype).min)
        exp_MN = product_MN.sub_(max_M[:, None]).exp_()
        sum_M = exp_MN.sum(1)
        ctx.save_for_backward(exp_MN, sum_M, query_MD, item_ND)
        return sum_M.log() + max_M

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_M: Tensor) -> tuple[Tensor, Tensor, None]:
        exp_MN, sum_M, query_MD, item_ND = ctx.saved_tensors
        weight_M1 = (gradient_M / sum_M.clamp(min=torch.finfo(sum_M.dtype).tiny))[:, None]
        return weight_M1 * (exp_MN @ item_ND), exp_MN.T @ (weight_M1 * query_MD), None


class SampledSoftmaxLoss:
    """Sampled softmax loss of queries against their target items.

    In-batch negatives are drawn from the targets of the same task.

    Args:
        network: Network that makes the item vectors (`vectors(items)`, `scale(task)`; see `RecallNetwork`).
        share_V: Share of each item among the targets.
        is_item_V: Items of the catalog, from which uniform negatives are drawn.
        config: Numbers of negatives (`SampledSoftmaxConfig`).
    """

    def __init__(self, network: Any, share_V: np.ndarray, is_item_V: np.ndarray, config: Any) -> None:
        self.network, self.in_batch, self.uniform = network, config.in_batch_negatives, config.uniform_negatives
        self._catalog = torch.from_numpy(np.flatnonzero(is_item_V))
        share = torch.from_numpy(share_V.astype(np.float32))
        self._logq_V = logq_correction(share, torch.from_numpy(is_item_V), self.in_batch, self.uniform)

    def __call__(self, task: str, query_MD: Tensor, positive_M: Tensor) -> Tensor:
        """Scalar loss.

        Args:
            task: Task whose scale is used.
            query_MD: Queries.
            positive_M: Their target items, at least one.
        """
        device = query_MD.device
        in_batch = torch.randint(len(positive_M), (self.in_batch,))
        uniform = torch.randint(len(self._catalog), (self.uniform,))
        negative_N = torch.cat([positive_M[in_batch], self._catalog[uniform].to(device)])
        # One lookup for both, since every lookup makes a gradient of the size of the table.
        items = positive_M, negative_N
        vectors = self.network.vectors(torch.cat(items)).split([len(part) for part in items])
        # Exponentials are summed in float32 even under mixed precision.
        with torch.autocast(device.type, enabled=False):
            return sampled_softmax(
                query_MD.float(),
                vectors[0].float(),
                vectors[1].float(),
                positive_M,
                negative_N,
                logq_V=self._logq_V.to(device),
                scale=self.network.scale(task),
            )
