"""The pipeline that the tests of this folder call."""

import pytest

from tests.support.serving.pipeline_harness import Bench


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)
