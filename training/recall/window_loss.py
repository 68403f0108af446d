"""Next-item loss over event windows: every position predicts a future listen and a future discovery.

Legend: B windows, L events, F = B · L positions of a batch, P distinct positions that contribute, M positions of one
task, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from training.nn.sampled_softmax import SampledSoftmaxLoss
from training.recall.neural_config import SampledSoftmaxConfig, WindowSamplingConfig
from training.recall.next_item_network import TASKS, NextItemNetwork
from training.recall.window_sampler import WindowSampler


class WindowLoss:
    """Weighted sum of the losses of the tasks over windows of events.

    Args:
        network: The network that is trained.
        sampling: Batch size and positions per batch.
        loss: Negatives and task weights.
        sampler: Source of the windows.
        is_item_V: Tracks that may be candidates.
        seed: Seed of the windows.
        tasks: Tasks that are trained.
    """

    def __init__(
        self,
        network: NextItemNetwork,
        sampling: WindowSamplingConfig,
        loss: SampledSoftmaxConfig,
        sampler: WindowSampler,
        is_item_V: np.ndarray,
        *,
        seed: int,
        tasks: Sequence[str] = TASKS,
    ) -> None:
        self.network, self.sampling, self.loss, self.seed, self.tasks = network, sampling, loss, seed, tuple(tasks)
        self._sampler = sampler
        self.item_loss = SampledSoftmaxLoss(
            network, sampler.target_share_V, is_item_V, loss.in_batch_negatives, loss.uniform_negatives
        )

    def batch_at(self, step: int) -> dict[str, Tensor]:
        """Windows of a step, as tensors by the field names of `Windows`."""
        windows = self._sampler.windows(self.seed, step, self.sampling.batch)
        return {name: torch.from_numpy(column) for name, column in vars(windows).items()}

    def compute_window_loss(self, windows: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the tasks' losses."""
        flat = {name: column.flatten() for name, column in windows.items()}
        weights = {"next": 1.0, "new": self.loss.discovery_weight}
        sampled = {task: self._sample_positions(flat[f"{task}_BL"]) for task in self.tasks}
        # A position that both tasks use is encoded once.
        place_P, index_M = torch.cat(list(sampled.values())).unique(return_inverse=True)
        state_PD = self._encode_positions(windows, place_P)
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
        return place_M[torch.randperm(len(place_M))[: self.sampling.positions_per_batch]]

    def _encode_positions(self, windows: dict[str, Tensor], place_P: Tensor) -> Tensor:
        """States [P, D] at positions of the batch, in ascending order of position."""
        item_BL, behaviour_BL, gap_BL = (windows[name] for name in ("item_BL", "behaviour_BL", "gap_BL"))
        L = item_BL.shape[1]
        return self.network.states_at(item_BL, behaviour_BL, gap_BL, place_P // L, place_P % L)
