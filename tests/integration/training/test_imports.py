"""Commands that train no network do not import Lightning, which takes seconds in each of their processes."""

import subprocess
import sys

import pytest

from config import settings


@pytest.mark.parametrize("module", ["training.evaluate", "training.slate.listwise_training"])
def test_lightning_is_not_imported(module):
    program = f"import sys, {module}; print('torch' in sys.modules, 'lightning' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=settings.ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "False"]
