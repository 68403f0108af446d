"""The supervisor of BentoML, which only starts the workers, imports the service without models and their libraries."""

import json
import sys

from tests.support.pipeline_commands import run_to_end


def test_service_is_imported_without_models():
    show_modules = "import json, sys, serving.service; print(json.dumps(list(sys.modules)))"
    loaded = set(json.loads(run_to_end([sys.executable, "-c", show_modules]).splitlines()[-1]))
    assert "serving.response_schemas" in loaded
    assert not loaded & {"torch", "feast", "lightgbm", "pandas", "polars", "duckdb", "scipy", "serving.runtime"}
