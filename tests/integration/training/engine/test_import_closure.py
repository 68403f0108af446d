"""Cache keys cover every module that Python loads."""

import json
import sys

import pytest

from tests.support.pipeline_commands import run_to_end
from tests.unit.training.engine.test_import_closure import MODULES, PRODUCERS
from training.engine.import_closure import import_closure


@pytest.mark.parametrize("name", ["evaluation", "cached arrays", "channel realtime", "ranker session_domains"])
def test_closure_contains_all_modules_that_python_loads(name):
    """The oracle is Python: modules loaded by importing the producers, except the `__init__` of packages."""
    show = "import importlib, json, sys; [importlib.import_module(m) for m in sys.argv[1:]]; "
    show += "print(json.dumps(list(sys.modules)))"
    command = [sys.executable, "-c", show, *PRODUCERS[name]]
    files = {module.replace(".", "/") + ".py": module for module in json.loads(run_to_end(command).splitlines()[-1])}
    loaded = {files[file] for file in MODULES if file in files}
    assert loaded
    assert loaded <= set(import_closure(*PRODUCERS[name]))
