"""The supervisor of BentoML, which only starts the workers, imports the service without models and their libraries."""

import json
import subprocess
import sys

from config import settings

SHOW_MODULES = "import json, sys, serving.service; print(json.dumps(list(sys.modules)))"


def test_service_is_imported_without_models():
    command = [sys.executable, "-c", SHOW_MODULES]
    done = subprocess.run(command, cwd=settings.ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "serving.response_schemas" in loaded
    assert not loaded & {"torch", "feast", "lightgbm", "pandas", "polars", "duckdb", "scipy", "serving.runtime"}
