"""Training module of the realtime channel."""

from __future__ import annotations

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from training.engine.trainer import Objective
from training.nn.optimizer import build_optimizer
from training.recall.neural_config import OptimizerConfig
from training.recall.realtime.model import RealtimeNetwork
from training.recall.window_loss import WindowLoss


class RealtimeLearner(Objective):
    """The network with its window loss and its optimizer."""

    def __init__(self, network: RealtimeNetwork, optimizer: OptimizerConfig, loss: WindowLoss) -> None:
        super().__init__()
        self.network, self.optimizer_config, self._loss = network, optimizer, loss

    def batch_at(self, step: int) -> dict[str, Tensor]:
        """See `WindowLoss`."""
        return self._loss.batch_at(step)

    def training_step(self, windows: dict[str, Tensor], _: int) -> Tensor:
        """Loss of the windows of a step."""
        return self._loss.compute_window_loss(windows)

    def configure_optimizers(self) -> tuple[Optimizer, LRScheduler]:
        """See `build_optimizer`."""
        return build_optimizer(self.network, self.optimizer_config)
