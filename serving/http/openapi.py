"""OpenAPI document of the service: what BentoML derives from the code, plus an overview, tags, examples and errors.

Summaries and descriptions of operations are the docstrings of the API methods; those of fields are pydantic field
descriptions. Examples are in `openapi_examples.yaml`. Knows nothing about HTTP.
"""

from __future__ import annotations

import inspect
import json
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from serving.events.event_schema import ReportedEvent, allowed_actions
from serving.http import media_files
from serving.http.user_tokens import USER_PATHS
from training.slate.scenes import SCENES

Spec = dict[str, Any]

NULL = {"type": "null"}
API_KEY_SCHEME, USER_TOKEN_SCHEME = "api_key", "user_token"
EXAMPLES_FILE = Path(__file__).with_name("openapi_examples.yaml")

OVERVIEW = """\
Segue recommends tracks, playlists and short videos, and learns from what listeners do with them.

1. **Request**: `POST /recommend` returns tracks, best first, with the reason for each.
2. **Report**: `POST /events` reports what the listener did, with the `request_id` of the response.
3. **Request again**: the next response takes the events into account. A blocked or disliked track or artist never returns.

`POST /similar` returns tracks similar to a given one, `POST /path` a smooth sequence from one track to another, and
`POST /recommend` with `seeds` or a `title` continues a playlist.

To try it here, open *Recommend*, press *Try it out*, then *Execute*. Unknown users get popular tracks.

| scene | items | default limit | maximum |
|---|---|---|---|
"""

TAGS = {
    "Recommend": "Tracks for a listener.",
    "Events": "Feedback of the listener.",
    "Inspect": "For people who want to see the inputs of the models; used by the listening page.",
    "Media": "Audio and covers of tracks.",
    "Operations": "For load balancers and monitoring.",
}

TAG_OF_PATH = {
    "/recommend": "Recommend",
    "/similar": "Recommend",
    "/path": "Recommend",
    "/events": "Events",
    "/listener": "Inspect",
    "/listeners": "Inspect",
    "/search": "Inspect",
    **dict.fromkeys(media_files.PATHS, "Media"),
    "/livez": "Operations",
    "/readyz": "Operations",
    "/status": "Operations",
    "/metrics": "Operations",
}

OPERATIONS_DOCS = {
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
    429: "Too many requests from this client; see Retry-After",
    503: "No release in service yet, a model did not respond in time, or too many requests are queued; see Retry-After",
}


@cache
def load_examples() -> Spec:
    """The content of `openapi_examples.yaml`."""
    examples: Spec = yaml.safe_load(EXAMPLES_FILE.read_text(encoding="utf-8"))
    return examples


def event_schema() -> Spec:
    """The schema of one reported event: the columns of the data contract."""
    schema = ReportedEvent.model_json_schema()
    properties = {
        name: {key: value for key, value in column.items() if key not in ("title", "default")}
        for name, column in _without_null_types(schema["properties"]).items()
    }
    properties["action"] |= {"enum": list(allowed_actions())}
    return {
        "type": "object",
        "required": schema["required"],
        "properties": properties,
        "example": load_examples()["requests"]["/events"]["A full play"]["events"][0],
    }


def build_openapi_document(derived: Spec) -> Spec:
    """The OpenAPI document of the service.

    Args:
        derived: The document that BentoML derives from the service class.
    """
    spec: Spec = json.loads(json.dumps(derived))
    scenes = "\n".join(
        f"| `{scene.name}` | {scene.item_type} | {scene.limit} | {scene.max_limit} |" for scene in SCENES.values()
    )
    spec["info"] = {"title": "Segue recommender", "version": _version(), "description": OVERVIEW + scenes}
    del spec["servers"]  # the address of the page itself
    spec["tags"] = [{"name": name, "description": description} for name, description in TAGS.items()]
    # Answered by middleware, so BentoML does not know them.
    spec["paths"]["/status"] = {"get": {"responses": {"200": {"content": {"application/json": {}}}}}}
    spec["paths"] |= {path: {"get": _media_operation(path)} for path in media_files.PATHS}
    paths = {path: spec["paths"][path] for path in TAG_OF_PATH}
    for path, operations in paths.items():
        for operation in operations.values():
            _mark_nullable_columns(path, operation, spec["components"]["schemas"])
    spec["components"] = _without_null_types(spec["components"])
    for path, tag in TAG_OF_PATH.items():
        (operation,) = paths[path].values()
        doc = inspect.cleandoc(OPERATIONS_DOCS.get(path) or operation["description"])
        summary, _, description = doc.partition("\n")
        operation |= {"tags": [tag], "summary": summary.removesuffix("."), "description": description.strip() or doc}
        _add_examples(path, operation)
    spec["paths"] = paths
    schemas = _referenced_schemas(spec)
    for name, example in load_examples()["schemas"].items():
        schemas[name]["example"] = example
    spec["components"] = {
        "schemas": schemas,
        "securitySchemes": {
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
        },
    }
    return spec


def _media_operation(path: str) -> Spec:
    """Parameters and responses of a path of `media_files`."""
    kind = path.split("/")[2]
    types = dict.fromkeys(sorted(set(media_files.MEDIA_TYPES[kind].values())))
    content = {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in types}
    errors = {
        401: "missing or unknown API key",
        403: "this service accepts requests from its own machine only",
        404: f"there is no {kind} of the track 't1'",
    }
    errors |= {429: "too many requests from this client; retry in 1 s", 503: "no release is in service yet"}
    return {
        "parameters": [
            {
                "name": "track_id",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
                "description": "Id of the track, URL-encoded",
            }
        ],
        "responses": {
            "200": {"description": "The file", "content": content},
            "206": {"description": "The range of the header Range", "content": content},
            "304": {"description": "The file has the ETag of the header If-None-Match"},
            "416": {"description": "The file has no such range"},
            **{str(status): _error(status, error) for status, error in errors.items()},
        },
        "security": [{}, {API_KEY_SCHEME: []}, {USER_TOKEN_SCHEME: []}],
    }


def _version() -> str:
    try:
        return version("segue")
    except PackageNotFoundError:  # a bento contains the source without package metadata
        return "bento"


def _mark_nullable_columns(path: str, operation: Spec, schemas: Spec) -> None:
    """Copy nullable columns from the named schemas: BentoML drops the null type in operations."""
    contents = [response.get("content", {}) for response in operation["responses"].values()]
    contents.append(operation.get("requestBody", {}).get("content", {}))
    for content in contents:
        for media in content.values():
            schema = media.get("schema", {})
            name = schema.get("title", "")
            properties = schemas.get(f"{path[1:]}__Input" if name == "Input" else name, {}).get("properties", {})
            for column, named in properties.items():
                if NULL in named.get("anyOf", ()) and column in schema.get("properties", {}):
                    schema["properties"][column] = _without_null_types(named)


def _without_null_types(schema: Any) -> Any:
    """The schema with `nullable` in place of the null type, which OpenAPI 3.0 does not have."""
    if isinstance(schema, list):
        return [_without_null_types(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _without_null_types(value) for key, value in schema.items()}
    choices = inner.get("anyOf", [])
    if NULL not in choices:
        return inner
    others = [one for one in inner.pop("anyOf") if one != NULL]
    # OpenAPI 3.0 ignores the siblings of a reference.
    plain = others[0] if len(others) == 1 and "$ref" not in others[0] else {"anyOf": others}
    return plain | inner | {"nullable": True}


def _add_examples(path: str, operation: Spec) -> None:
    examples = load_examples()
    if path in examples["requests"]:
        requests = {name: {"value": value} for name, value in examples["requests"][path].items()}
        operation["requestBody"]["content"]["application/json"]["examples"] = requests
    if path not in examples["responses"]:
        return
    response, example = operation["responses"]["200"], examples["responses"][path]
    response["description"] = "The response"
    content = response["content"]["application/json"]
    content.setdefault("schema", {"type": "object", "required": list(example)})
    content["example"] = example
    errors = sorted(examples["errors"][path].items())
    operation["responses"] = {"200": response} | {str(status): _error(status, error) for status, error in errors}
    schemes = (API_KEY_SCHEME, USER_TOKEN_SCHEME) if path in USER_PATHS else (API_KEY_SCHEME,)
    operation["security"] = [{}, *({scheme: []} for scheme in schemes)]


def _error(status: int, error: str) -> Spec:
    schema = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    return {
        "description": ERROR_DESCRIPTIONS[status],
        "content": {"application/json": {"schema": schema, "example": {"error": error}}},
    }


def _referenced_schemas(spec: Spec) -> dict[str, Spec]:
    """The schemas that the paths refer to, directly or through other schemas; the rest are BentoML's generic errors."""
    schemas, text = spec["components"]["schemas"], json.dumps(spec["paths"])
    used: dict[str, Spec] = {}
    while more := {
        name: schema
        for name, schema in schemas.items()
        if name not in used and f'"#/components/schemas/{name}"' in text
    }:
        used |= more
        text = json.dumps(more)
    return used
