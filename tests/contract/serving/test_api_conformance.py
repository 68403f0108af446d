"""Requests generated from the OpenAPI document, valid and invalid ones, cause no server error.

Schemathesis generates the cases, half of them valid and half invalid.
"""

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving.http import openapi
from serving.service import Recommender
from tests.contract.serving.test_service import client  # noqa: F401

FULL = bool(os.environ.get("SEGUE_ACCEPTANCE"))
CASES = 5_000 if FULL else 300
SCHEMA = schemathesis.openapi.from_dict(openapi.build_openapi_document(Recommender.openapi_spec.asdict()))
POSTED = [path for path, operations in SCHEMA.raw_schema["paths"].items() if "post" in operations]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
pytestmark = pytest.mark.timeout(3600 if FULL else 600)


def cases():
    strategies = [SCHEMA[path]["POST"].as_strategy(generation_mode=mode) for path in POSTED for mode in GenerationMode]
    return st.one_of(strategies)


def test_generated_requests_cause_no_server_error(client):  # noqa: F811
    responses = []

    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def ask(case):
        answer = client.request(**case.as_transport_kwargs(base_url="http://127.0.0.1"))
        responses.append((case.path, answer.status_code))
        case.validate_response(answer, checks=CHECKS)

    ask()
    statuses = {path: {status for where, status in responses if where == path} for path in POSTED}
    # The test is meaningful only if some cases are accepted and some rejected.
    assert all(found & {200, 404} and 400 in found for found in statuses.values()), statuses
    assert len(responses) >= CASES * 0.9
