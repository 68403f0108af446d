"""How the API describes itself: what BentoML derives from the code, in our words and with examples that can be tried.

Only changes the description; knows nothing about HTTP.
"""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from serving.events.event_schema import COLUMNS, allowed_actions
from serving.http import openapi_examples as examples
from serving.http import openapi_texts as words
from serving.scenes import SCENES

Spec = dict[str, Any]

NULL = {"type": "null"}
SECURITY_SCHEME = "api_key"


def event_schema() -> Spec:
    """The schema of one event of a report: the contract's columns, all but four optional."""
    properties = {name: words.COLUMN_SCHEMAS[name] for name in COLUMNS}
    properties["action"] = properties["action"] | {"enum": list(allowed_actions())}
    return {
        "type": "object",
        "required": ["user_id", "target_type", "target_id", "action"],
        "properties": properties,
        "example": examples.REQUESTS["/events"]["A play to the end"]["events"][0],
    }


def build_openapi_document(derived: Spec) -> Spec:
    """The OpenAPI document of the service, from the one that BentoML derives."""
    spec: Spec = json.loads(json.dumps(derived))
    scenes = "\n".join(
        f"| `{scene.name}` | {scene.item_type} | {scene.limit} | {scene.max_limit} |" for scene in SCENES.values()
    )
    spec["info"] = {"title": "Segue recommender", "version": _version(), "description": words.OVERVIEW + scenes}
    del spec["servers"]  # it is the page's own
    spec["tags"] = [{"name": name, "description": what} for name, what in words.TAGS.items()]
    spec["paths"]["/status"] = {"get": _status()}
    paths = {path: spec["paths"][path] for path in words.OPERATIONS}
    for path, operations in paths.items():
        for operation in operations.values():
            _mark_nullable_columns(path, operation, spec["components"]["schemas"])
    spec["components"] = _without_null_types(spec["components"])
    for path, (tag, summary) in words.OPERATIONS.items():
        (operation,) = paths[path].values()
        operation |= {"tags": [tag], "summary": summary, "description": words.DETAILS[path]}
        if path in examples.REQUESTS:
            _add_examples(path, operation)
    spec["paths"] = paths
    spec["components"] = {
        "schemas": _referenced_schemas(spec),
        "securitySchemes": {
            SECURITY_SCHEME: {"type": "http", "scheme": "bearer", "description": "Where the service has keys"}
        },
    }
    return spec


def _version() -> str:
    try:
        return version("segue")
    except PackageNotFoundError:  # a bento has the source and no package
        return "bento"


def _mark_nullable_columns(path: str, operation: Spec, schemas: Spec) -> None:
    """Take the columns that may be null from the named schemas: in the operations BentoML leaves the null out."""
    contents = [answer.get("content", {}) for answer in operation["responses"].values()]
    contents.append(operation.get("requestBody", {}).get("content", {}))
    for content in contents:
        for media in content.values():
            schema = media["schema"]
            name = schema.get("title", "")
            known = schemas.get(f"{path[1:]}__Input" if name == "Input" else name, {}).get("properties", {})
            for column, told in known.items():
                if NULL in told.get("anyOf", ()) and column in schema.get("properties", {}):
                    schema["properties"][column] = _without_null_types(told)


def _without_null_types(schema: Any) -> Any:
    """The same in the words of OpenAPI 3.0, which knows `nullable` and no type of null."""
    if isinstance(schema, list):
        return [_without_null_types(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _without_null_types(value) for key, value in schema.items()}
    choices = inner.get("anyOf", [])
    if NULL not in choices:
        return inner
    others = [one for one in inner.pop("anyOf") if one != NULL]
    # What stands beside a reference is not read.
    plain = others[0] if len(others) == 1 and "$ref" not in others[0] else {"anyOf": others}
    return plain | inner | {"nullable": True}


def _add_examples(path: str, operation: Spec) -> None:
    requests = {name: {"value": value} for name, value in examples.REQUESTS[path].items()}
    operation["requestBody"]["content"]["application/json"]["examples"] = requests
    answer = operation["responses"]["200"]
    answer["description"] = "The answer"
    answer["content"]["application/json"]["example"] = examples.RESPONSES[path]
    told = dict(sorted((examples.ERRORS[path] | examples.ACCESS_ERRORS).items()))
    operation["responses"] = {"200": answer} | {str(status): _error(status, error) for status, error in told.items()}
    operation["security"] = [{}, {SECURITY_SCHEME: []}]


def _status() -> Spec:
    """The operation that is answered before BentoML, which does not know of it."""
    schema = {"type": "object", "required": list(examples.STATUS)}
    answer = {
        "description": "The answer",
        "content": {"application/json": {"schema": schema, "example": examples.STATUS}},
    }
    told = {str(status): _error(status, error) for status, error in examples.ACCESS_ERRORS.items()}
    return {"responses": {"200": answer} | told, "security": [{}, {SECURITY_SCHEME: []}]}


def _error(status: int, error: str) -> Spec:
    schema = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    example = {"error": error}
    return {
        "description": words.ERRORS[status],
        "content": {"application/json": {"schema": schema, "example": example}},
    }


def _referenced_schemas(spec: Spec) -> dict[str, Spec]:
    """The schemas that the paths refer to, and those that these refer to; the others are errors of a generic service."""
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
