"""Number of threads of this process."""

from __future__ import annotations

import torch

from config.settings import TrainingSettings
from training.engine.process_memory import retain_freed_memory


def configure_threads() -> int:
    """Set torch's thread count from `SEGUE_THREADS`, else `OMP_NUM_THREADS`, else all cores; retain freed memory.

    Concurrent fits must share the cores: two fits with a thread per core each take several times as long.

    Returns:
        The number of threads.

    Raises:
        SettingError: One of them is not a number of threads.
    """
    threads = TrainingSettings().threads
    torch.set_num_threads(threads)
    retain_freed_memory()
    return threads
