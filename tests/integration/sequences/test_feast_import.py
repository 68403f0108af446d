"""Feast is imported without torch, which it loads when a response becomes tensors, and without typeguard."""

import subprocess
import sys

import pytest

from config import settings

PROGRAM = """
import sys
from sequences.feast_store import import_feast
import_feast()
assert "torch" not in sys.modules
from feast.online_response import OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Value
response = GetOnlineFeaturesResponse()
response.metadata.feature_names.val.append("plays")
response.results.add(values=[Value(int64_val=3)])
print(OnlineResponse(response).to_tensor()["plays"].tolist())
"""


def test_feast_is_imported_without_torch_until_it_is_needed():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=settings.ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[3]"


PROGRAMS = (
    "serving.runtime",
    "sequences.online.materialize",
    "sequences.online.rebuild",
    "sequences.streaming.consume",
    "sequences.skew.daily_check",
    "privacy.online_store",
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_import_feast_without_typeguard(program):
    code = f"import sys, {program}; print(sys.modules['feast.feature_view'].FeatureView.__init__.__code__.co_names)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=settings.ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "check_argument_types_internal" not in done.stdout
