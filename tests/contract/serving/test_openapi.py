"""OpenAPI document: complete, self-contained, with valid examples."""

import hypothesis
import openapi_spec_validator
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from recommender.slate.scene_settings import SCENES, SIMILAR
from serving.errors import RequestRejected
from serving.events.event_schema import EventRejected, read_event
from serving.http import catalog_entries, media_files, openapi
from serving.pipeline.request import DEFAULT_SCENE, read_path, read_request, read_similar
from serving.response_schemas import (
    EraseResponse,
    EventReport,
    ExplanationResponse,
    ExportResponse,
    LibraryResponse,
    Problem,
    Recommendation,
    SearchResults,
    TasteResponse,
    UserIds,
    UserProfileResponse,
)
from serving.service import Recommender
from tests.support.serving.pipeline_harness import NOW

SPEC = openapi.build_openapi_document(Recommender.apis)
PATHS = {
    "/recommend": Recommendation,
    "/similar": Recommendation,
    "/path": Recommendation,
    "/events": EventReport,
    "/listener": UserProfileResponse,
    "/library": LibraryResponse,
    "/taste": TasteResponse,
    "/export": ExportResponse,
    "/erase": EraseResponse,
    "/explain": ExplanationResponse,
    "/listeners": UserIds,
    "/search": SearchResults,
}


def test_every_route_is_in_the_document():
    assert set(SPEC["paths"]) == {
        *PATHS,
        *catalog_entries.PATHS,
        *media_files.PATHS,
        "/livez",
        "/readyz",
        "/status",
        "/metrics",
    }
    assert {f"/{name}" for name in Recommender.apis} == set(PATHS)


def test_document_is_valid_openapi():
    openapi_spec_validator.validate(SPEC)


def read_recommend(value):
    playlist = {name: value[name] for name in ("seeds", "negative_seeds", "title", "exclude") if name in value}
    scene = value.get("scene", DEFAULT_SCENE)
    read_request(value.get("user_id"), scene, value.get("limit"), NOW, value.get("discovery"), **playlist)


READERS = {
    "/recommend": read_recommend,
    "/similar": lambda value: read_similar(value["track_id"], value.get("limit"), value.get("user_id"), NOW),
    "/path": lambda value: read_path(value["from"], value["to"], value.get("length"), value.get("user_id"), NOW),
    "/events": lambda value: [read_event(row, NOW) for row in value["events"]],
}
MORE_STATUSES = {path: {"404"} for path in ("/recommend", "/similar", "/path", "/explain")} | {"/events": {"422"}}


@pytest.mark.parametrize("path", PATHS)
def test_examples_are_valid(path):
    (operation,) = SPEC["paths"][path].values()
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    assert len(examples) >= 2
    for example in examples.values():
        READERS.get(path, dict)(example["value"])
    answers = operation["responses"].copy()
    for answer in answers.pop("200")["content"]["application/json"]["examples"].values():
        PATHS[path].model_validate(answer["value"])
    statuses = {"400", "401", "403", "408", "413", "415", "429", "503"} | MORE_STATUSES.get(path, set())
    assert answers.keys() == statuses
    for status, answer in answers.items():
        (example,) = answer["content"]["application/problem+json"]["examples"].values()
        assert Problem.model_validate(example["value"]).status == int(status)


def is_valid(model, body):
    """Whether a body has the schema of a model in the document."""
    schema = {"$ref": f"#/components/schemas/{model}", "components": SPEC["components"]}
    return Draft202012Validator(schema).is_valid(body)


def is_accepted(read, *arguments, **named):
    try:
        read(*arguments, NOW, **named)
    except (RequestRejected, EventRejected):
        return False
    return True


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_limits_are_those_of_the_scene(scene):
    for limit, is_right in ((1, True), (scene.max_limit, True), (0, False), (scene.max_limit + 1, False)):
        assert is_valid("RecommendRequest", {"user_id": "u", "scene": scene.name, "limit": limit}) == is_right
        assert is_accepted(read_request, "u", scene.name, limit) == is_right
    assert is_valid("SimilarRequest", {"track_id": "t", "limit": SIMILAR.max_limit})
    assert not is_valid("SimilarRequest", {"track_id": "t", "limit": SIMILAR.max_limit + 1})


@given(st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"]), min_size=1, max_size=9))
@hypothesis.example("a\u2028b")
@hypothesis.example(" a")
@hypothesis.example("\xa0")
def test_ids_are_printable(text):
    hypothesis.assume(not text.endswith("\n"))  # `$` matches before it in Python, but not in JavaScript
    expected = is_accepted(read_request, text, DEFAULT_SCENE, None)
    assert is_valid("RecommendRequest", {"user_id": text}) == expected
    assert is_valid("PathRequest", {"from": "t", "to": text}) == (expected or text == "t")
    title = is_accepted(read_request, None, DEFAULT_SCENE, None, seeds=["t"], title=text)
    if text == text.strip():
        assert is_valid("RecommendRequest", {"seeds": ["t"], "title": text}) == title
    if "\ufffd" not in text:
        event = {"user_id": "u", "action": "like", "target_type": "track", "target_id": text}
        assert is_valid("ReportedEvent", event) == is_accepted(read_event, event)


def test_a_body_is_required_where_an_empty_one_is_not_valid():
    assert {
        path
        for path, operations in SPEC["paths"].items()
        for operation in operations.values()
        if not operation.get("requestBody", {"required": True})["required"]
    } == {"/listeners", "/search"}
    assert not is_valid("RecommendRequest", {"title": "a", "negative_seeds": ["t"]})
    assert not is_valid("RecommendRequest", {}) and not is_valid("RecommendRequest", {"title": " "})
    assert all(is_valid("RecommendRequest", one) for one in ({"user_id": "u"}, {"seeds": ["t"]}, {"title": "a"}))
