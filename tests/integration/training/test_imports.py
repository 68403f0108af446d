"""Commands that train no network do not import Lightning, and those that do import no plots: seconds in each process."""

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


@pytest.mark.parametrize("module", ["training.evaluate", "training.slate.listwise_training"])
def test_lightning_is_not_imported(module):
    modules = modules_after(f"import {module}")
    assert "torch" in modules and "lightning" not in modules


def test_a_fit_imports_no_plots_and_can_import_them_later():
    program = "import training.ranking.fit; fit = set(sys.modules); import matplotlib.pyplot, scipy.signal"
    checks = "assert 'lightning' in fit and not fit & {'matplotlib', 'scipy.signal'}"
    modules = modules_after(f"{program}; {checks}")
    assert {"matplotlib.pyplot", "scipy.signal"} <= modules
