"""OpenAPI 3.1 document of the service: the models of requests and responses, with tags, examples and errors.

Summaries and descriptions of operations are the docstrings of the API methods; fields have the
descriptions of pydantic. Examples are in `openapi_examples.yaml`. Operation ids are names of methods in generated clients, so they do not
change. Independent of HTTP.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from recommender.slate.scene_settings import SCENES
from serving.events.event_schema import ReportedEvent
from serving.http import catalog_entries, media_files
from serving.http.asgi import problem
from serving.http.user_tokens import USER_PATHS
from serving.request_schemas import (
    EraseRequest,
    EventsRequest,
    ExplainRequest,
    ExportRequest,
    LibraryRequest,
    ListenerRequest,
    ListenersRequest,
    PathRequest,
    RecommendRequest,
    SearchRequest,
    SimilarRequest,
    TasteRequest,
)
from serving.response_schemas import (
    CatalogEntry,
    EraseResponse,
    EventProblem,
    EventReport,
    ExplanationResponse,
    ExportResponse,
    LibraryResponse,
    Problem,
    Recommendation,
    SearchResults,
    ServiceStatus,
    TasteResponse,
    Track,
    UserIds,
    UserProfileResponse,
)

Spec = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """One operation: its stable id, its tag and the models of its bodies; `request` is None for GET."""

    operation_id: str
    tag: str
    request: type[BaseModel] | None = None
    response: type[BaseModel] | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        return "GET" if self.request is None else "POST"


OPERATIONS = {
    "/recommend": Operation("recommend", "Recommend", RecommendRequest, Recommendation),
    "/similar": Operation("similar", "Recommend", SimilarRequest, Recommendation),
    "/path": Operation("path", "Recommend", PathRequest, Recommendation),
    "/events": Operation("report_events", "Events", EventsRequest, EventReport),
    "/listener": Operation("listener", "Inspect", ListenerRequest, UserProfileResponse),
    "/listeners": Operation("listeners", "Inspect", ListenersRequest, UserIds),
    "/library": Operation("library", "Inspect", LibraryRequest, LibraryResponse),
    "/taste": Operation("taste", "Inspect", TasteRequest, TasteResponse),
    "/export": Operation("export_data", "Inspect", ExportRequest, ExportResponse),
    "/erase": Operation("erase_data", "Inspect", EraseRequest, EraseResponse),
    "/explain": Operation("explain", "Inspect", ExplainRequest, ExplanationResponse),
    "/search": Operation("search", "Inspect", SearchRequest, SearchResults),
    **{
        path: Operation(kind, "Catalog", response=Track if kind == "track" else CatalogEntry)
        for kind, path in zip(catalog_entries.KINDS, catalog_entries.PATHS, strict=True)
    },
    media_files.PATHS[0]: Operation("preview", "Media"),
    media_files.PATHS[1]: Operation("cover", "Media"),
    "/livez": Operation("livez", "Operations"),
    "/readyz": Operation("readyz", "Operations"),
    "/status": Operation("status", "Operations", response=ServiceStatus),
    "/metrics": Operation("metrics", "Operations"),
}
"""Path → operation, in the order of the document."""
METHODS = {path: operation.method for path, operation in OPERATIONS.items()}
REQUEST_FIELDS = {
    path: [field.alias or name for name, field in operation.request.model_fields.items()]
    for path, operation in OPERATIONS.items()
    if operation.request
}

MEDIA_TYPE, PROBLEM_MEDIA_TYPE = "application/json", "application/problem+json"
API_KEY_SCHEME, USER_TOKEN_SCHEME = "api_key", "user_token"
EXAMPLES_FILE = Path(__file__).with_name("openapi_examples.yaml")

OVERVIEW = """\
Segue recommends tracks, playlists and short videos, and learns from what listeners do with them.

1. **Request**: `POST /recommend` returns tracks, best first, with the reason for each.
2. **Report**: `POST /events` reports what the listener did, with the `request_id` of the response.
3. **Request again**: the next response takes the events into account. A blocked or disliked track or artist never returns.

`POST /similar` returns tracks similar to a given one, `POST /path` a smooth sequence from one track to another, and
`POST /recommend` with `seeds` or a `title` continues a playlist.

`make clients` generates typed clients, `build/clients/python` and `build/clients/typescript`:

```python
from segue_client import SegueClient

with SegueClient() as segue:
    answer = segue.recommend(user_id="u0", scene="daily", limit=10)
    first = answer["items"][0]
    if "track_id" in first:
        shown = {"request_id": answer["request_id"], "position": 0}
        like = {"user_id": "u0", "action": "like", "target_type": "track", "target_id": first["track_id"], **shown}
        segue.report_events(events=[like])
```

```typescript
import { SegueClient } from "segue-client";

const segue = new SegueClient();
const { items } = await segue.recommend({ user_id: "u0", scene: "daily", limit: 10 });
```

```bash
curl --json '{"user_id": "u0", "scene": "daily", "limit": 10}' localhost:3000/recommend
```

Lists are also playlist files: XSPF, JSPF or M3U with `?format=xspf`, `jspf` or `m3u`. Scrobblers and music servers
may use ListenBrainz's `POST /1/submit-listens`.

Errors are problem documents (RFC 9457), whose `detail` names the value and the remedy.

To try it here, open *Recommend*, press *Try it out*, then *Execute*. Unknown users get popular tracks.

| scene | items | default limit | maximum |
|---|---|---|---|
"""

TAGS = {
    "Recommend": "Tracks for a listener.",
    "Events": "Feedback of the listener.",
    "Inspect": "For people who want to see the inputs of the models; used by the listening page.",
    "Catalog": "Single tracks, artists, albums and playlists.",
    "Media": "Audio and covers of tracks.",
    "Operations": "For load balancers and monitoring.",
}

ENTRY_TEXT = " by id\n\nWith the tracks that may be played by the settings of the service."
OPERATIONS_DOCS = {
    **{
        path: kind.capitalize() + ENTRY_TEXT
        for kind, path in zip(catalog_entries.KINDS, catalog_entries.PATHS, strict=True)
    },
    media_files.PATHS[
        0
    ]: "Audio of a track\n\nThe file that the catalog names, or a preview of 10 s if the track is simulated. "
    "One byte range per request is supported. Responses name the path as `audio_url`.",
    media_files.PATHS[
        1
    ]: "Cover of a track\n\nThe file that the catalog names, or a drawing if the track is simulated. Responses "
    "name the path as `cover_url`.",
    "/livez": "Liveness: whether events can be logged\n\n503: only a restart helps.",
    "/readyz": "Readiness: whether a release is in service and events are accepted\n\n503 until the first release is loaded and "
    "warm, and while another recommender writes the event log of the home. Later releases are swapped in without interruption.",
    "/status": "Releases in service, rejected releases and degraded parts\n\nThe production release, the canary releases with "
    "their share of the users, which releases were rejected, with the reason (the previous release stays in service instead), "
    "and the parts of the service that do not work at the moment (`degraded`).",
    "/metrics": "Metrics for Prometheus\n\nText format; the service's own metrics begin with `segue_`.",
}
"""Path of an operation without an API method → its docstring."""

ERROR_DESCRIPTIONS = {
    400: "Invalid request",
    401: "Missing or unknown API key, or invalid or expired user token, if the service has keys or accepts tokens",
    403: "The user token is not valid for the path or for the named user; or the service has no keys, and the request does not "
    "come from its own machine or from an allowed page",
    404: "The release does not have a track, or has no items of the scene's type, or the track has no such file",
    408: "The body arrived too slowly",
    413: "The body is too large",
    415: "The content type is not application/json",
    422: "Every event of the report was rejected",
    429: "Too many requests from this client; see Retry-After",
    503: "No release in service yet, a model did not respond in time, or too many requests are queued; see Retry-After",
}


@cache
def load_examples() -> Spec:
    """The content of `openapi_examples.yaml`."""
    return yaml.safe_load(EXAMPLES_FILE.read_text(encoding="utf-8"))


def build_openapi_document(api: Mapping[str, Any]) -> Spec:
    """The OpenAPI document of the service.

    Args:
        api: Name → method of the service class.
    """
    scenes = "\n".join(
        f"| `{scene.name}` | {scene.item_type} | {scene.limit} | {scene.max_limit} |" for scene in SCENES.values()
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Segue recommender",
            "version": _version(),
            "description": OVERVIEW + scenes,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The host of this document"}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": {
            path: {operation.method.lower(): _operation(path, operation, api)} for path, operation in OPERATIONS.items()
        },
        "components": {"schemas": _schemas(), "securitySchemes": _security_schemes()},
    }


def _operation(path: str, operation: Operation, api: Mapping[str, Any]) -> Spec:
    doc = inspect.cleandoc(OPERATIONS_DOCS.get(path) or api[path[1:]].doc or "")
    summary, _, description = doc.partition("\n")
    described: Spec = {
        "operationId": operation.operation_id,
        "tags": [operation.tag],
        "summary": summary.removesuffix("."),
        "description": description.strip() or doc,
    }
    if "{" in path:
        described["parameters"] = [_path_parameter(path)]
    if path in media_files.PATHS:
        return described | _media_operation(path)
    if operation.response is None:
        return described | {"responses": _plain_responses(path)}
    examples = load_examples()
    if operation.request:
        requests = {name: {"value": value} for name, value in examples["requests"][path].items()}
        content = {"schema": _reference(operation.request), "examples": requests}
        # No body is the same as one without fields.
        needs_fields = not {"required", "anyOf"}.isdisjoint(operation.request.model_json_schema())
        described["requestBody"] = {"required": needs_fields, "content": {MEDIA_TYPE: content}}
    answer = {
        "schema": _reference(operation.response),
        "examples": {
            name: {"value": value}
            for name, value in {
                "A response": examples["responses"][path],
                **examples["more_responses"].get(path, {}),
            }.items()
        },
    }
    errors = sorted(examples["errors"][path].items())
    described["responses"] = {"200": {"description": "The response", "content": {MEDIA_TYPE: answer}}} | {
        str(status): _error(status, error) for status, error in errors
    }
    if path == "/events":
        described["responses"]["422"] = _error(422, examples["all_rejected"], EventProblem)
    is_for_users = path in USER_PATHS or path in catalog_entries.PATHS
    schemes = (API_KEY_SCHEME, USER_TOKEN_SCHEME) if is_for_users else (API_KEY_SCHEME,)
    return described | {"security": [{}, *({scheme: []} for scheme in schemes)]}


def _path_parameter(path: str) -> Spec:
    name = path.partition("{")[2].rstrip("}")
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
        "description": f"Id of the {name.removesuffix('_id')}, URL-encoded",
    }


def _media_operation(path: str) -> Spec:
    """Responses of a path of `media_files`."""
    kind = path.split("/")[2]
    types = dict.fromkeys(sorted(set(media_files.MEDIA_TYPES[kind].values())))
    # OpenAPI 3.1 describes binary content by its media type alone.
    content: Spec = {media_type: {} for media_type in types}
    errors = {
        401: "missing or unknown API key",
        403: "this service accepts requests on loopback only",
        404: f"there is no {kind} of the track 't1'",
        429: "too many requests from this client; retry in 1 s",
        503: "no release is in service yet",
    }
    return {
        "responses": {
            "200": {"description": "The file", "content": content},
            "206": {"description": "The range of the header Range", "content": content},
            "304": {"description": "The file has the ETag of the header If-None-Match"},
            "416": {"description": "The file has no such range", "content": _problem_content(Problem)},
            **{str(status): _error(status, error) for status, error in errors.items()},
        },
        "security": [{}, {API_KEY_SCHEME: []}, {USER_TOKEN_SCHEME: []}],
    }


def _plain_responses(path: str) -> Spec:
    responses: Spec = {
        "200": {"description": "The response", "content": {"text/plain": {"schema": {"type": "string"}}}}
    }
    if path != "/metrics":
        responses["503"] = {
            "description": "Not ready" if path == "/readyz" else "Not alive",
            "content": _problem_content(Problem),
        }
    return responses


def _version() -> str:
    try:
        return version("segue")
    except PackageNotFoundError:  # a bento contains the source without package metadata
        return "bento"


def _schemas() -> dict[str, Spec]:
    """Every model that the operations name, with the models inside."""
    requests = [operation.request for operation in OPERATIONS.values() if operation.request]
    responses = dict.fromkeys(operation.response for operation in OPERATIONS.values() if operation.response)
    modes: list[tuple[Any, Literal["validation", "serialization"]]] = [
        *((model, "validation") for model in (*requests, ReportedEvent)),
        *((model, "serialization") for model in (*responses, Problem, EventProblem)),
    ]
    _, definitions = models_json_schema(modes, ref_template="#/components/schemas/{model}")
    schemas: dict[str, Spec] = _without_titles(definitions["$defs"])
    # Rows are validated one by one, so that a wrong one does not reject the others.
    schemas["EventsRequest"]["properties"]["events"]["items"] = _reference(ReportedEvent)
    schemas["ReportedEvent"]["examples"] = load_examples()["requests"]["/events"]["A full play"]["events"]
    for name, example in load_examples()["schemas"].items():
        schemas[name]["examples"] = [example]
    return schemas


def _without_titles(schema: Any, is_properties: bool = False) -> Any:
    """The schema without pydantic's titles, which repeat the names; `properties` may have a field `title`."""
    if isinstance(schema, list):
        return [_without_titles(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_titles(value, key == "properties")
        for key, value in schema.items()
        if is_properties or key != "title" or not isinstance(value, str)
    }


def _security_schemes() -> Spec:
    return {
        API_KEY_SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "description": "API key of a backend, which may name every user; required if the service has keys",
        },
        USER_TOKEN_SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "Token of one user, whose client may name this user only; if the service accepts tokens",
        },
    }


def _reference(model: type[BaseModel]) -> Spec:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _problem_content(model: type[BaseModel]) -> Spec:
    return {PROBLEM_MEDIA_TYPE: {"schema": _reference(model)}}


def _error(status: int, error: str | Spec, model: type[BaseModel] = Problem) -> Spec:
    members = {"detail": error} if isinstance(error, str) else error
    content = _problem_content(model)
    content[PROBLEM_MEDIA_TYPE]["examples"] = {"A problem": {"value": problem(status, **members)}}
    return {"description": ERROR_DESCRIPTIONS[status], "content": content}
