"""Feast is imported without torch, which it loads when a response becomes tensors."""

import sys

from tests.support.pipeline_commands import run_to_end

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
    assert run_to_end([sys.executable, "-c", PROGRAM], timeout_s=120).strip() == "[3]"
