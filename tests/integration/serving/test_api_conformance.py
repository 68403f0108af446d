"""Requests generated from the OpenAPI document, valid and invalid ones, cause no server error.

Schemathesis generates the cases, half of them valid and half invalid. `make acceptance` runs 10,000 of them.
"""

import copy

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from serving.http import openapi
from serving.service import Recommender
from tests.contract.serving.test_service import client  # noqa: F401
from tests.support.progress import FULL, sized

CASES = sized(10_000, 450)
pytestmark = pytest.mark.timeout(14_400 if FULL else 600)


def with_accepted_events(case):
    """The case with rows that the contract accepts: the schema cannot express its rules for times, ids and plays."""
    for row in case.body["events"]:
        row |= {"user_id": "u", "target_id": "t0", "target_type": "track", "action": "like"}
        for name in ("occurred_at", "ended_at", "played_ms", "scene", "context_id", "request_id", "event_id", "device"):
            row.pop(name, None)
    return case


def with_a_user(case):
    """The case for a user instead of a playlist: the schema cannot express that seeds exclude most scenes."""
    for name in ("scene", "seeds", "negative_seeds", "title", "exclude"):
        case.body.pop(name, None)
    case.body["user_id"] = "u"
    return case


def test_generated_requests_cause_no_server_error(client):  # noqa: F811
    # Importing it takes a second in every worker.
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    # A copy, because schemathesis changes the document.
    schema = schemathesis.openapi.from_dict(copy.deepcopy(openapi.build_openapi_document(Recommender.apis)))
    paths = schema.raw_schema["paths"]
    posted = {path: schema[path]["POST"] for path, operations in paths.items() if "post" in operations}
    modes = schemathesis.GenerationMode
    strategies = [operation.as_strategy(generation_mode=mode) for operation in posted.values() for mode in modes]
    events, requests = (posted[path].as_strategy(generation_mode=modes.POSITIVE) for path in ("/events", "/recommend"))
    conformance = [
        *(not_a_server_error, checks.status_code_conformance, checks.content_type_conformance),
        checks.response_schema_conformance,
    ]
    responses = {path: [] for path in posted}

    @seed(0)
    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of([*strategies, events.map(with_accepted_events), requests.map(with_a_user)]))
    def ask(case):
        answer = client.request(**case.as_transport_kwargs(base_url="http://127.0.0.1"))
        responses[case.path].append(answer.status_code)
        case.validate_response(answer, checks=conformance)

    ask()
    assert sum(map(len, responses.values())) >= CASES * 0.9
    # The test is meaningful only if some cases of every path are accepted (also a track that does not exist) and some rejected.
    for path, codes in responses.items():
        assert {200, 404} & set(codes) and {400, 422} & set(codes), path
