"""Commands do not import what they do not need and what takes a second: scikit-learn."""

import subprocess
import sys

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


def test_models_are_evaluated_without_scikit_learn():
    modules = modules_after("import training.evaluate")
    assert "torch" in modules and "sklearn" not in modules
