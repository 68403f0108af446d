"""Commands do not import what they do not need and what takes a second: Lightning without a network, plots, scikit-learn."""

import subprocess
import sys

import pytest

from config import settings


def modules_after(program):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}; print(*sys.modules)"],
        cwd=settings.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("module", "not_needed"),
    [("training.evaluate", {"lightning", "sklearn"}), ("training.slate.listwise_training", {"lightning"})],
)
def test_models_are_evaluated_and_ordered_without_lightning(module, not_needed):
    modules = modules_after(f"import {module}")
    assert "torch" in modules and not modules & not_needed
