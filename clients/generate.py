"""`python -m clients.generate`: write the OpenAPI document of the service, and the clients into `build/clients`.

The document is simple (named schemas, JSON bodies, path parameters), so two templates and a translation of types suffice.
"""

from __future__ import annotations

import json
import keyword
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

Spec = Mapping[str, Any]

FOLDER = Path(__file__).parent
DOCUMENT = FOLDER / "openapi.json"
BUILT = FOLDER.parent / "build" / "clients"
JSON_TYPE = "application/json"
WIDTH = 100


PYTHON = {
    **{"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"},
    **{"array": "list[{}]", "object": "dict[str, {}]", "": "object"},
}
TYPESCRIPT = {
    **{"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"},
    **{"array": "Array<{}>", "object": "Record<string, {}>", "": "unknown"},
}
"""JSON type → how the language writes it; "" is anything."""


def type_name(schema: Spec, names: Mapping[str, str]) -> str:
    """The type of a schema, as code of the language with these `names`."""
    if "$ref" in schema:
        return _reference(schema)
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_name(one, names) for one in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return f"Literal[{', '.join(map(repr, values))}]" if names is PYTHON else " | ".join(map(json.dumps, values))
    kind = schema.get("type", "")
    if kind not in ("array", "object"):
        return names[kind]
    # The names in an object are any; without a schema of the values, or with `true`, they may be anything.
    inner = schema.get("items" if kind == "array" else "additionalProperties")
    return names[kind].format(type_name(inner if isinstance(inner, dict) else {}, names))


def read_schemas(document: Spec) -> list[dict[str, Any]]:
    """The named schemas: name, description and fields (see `_field`)."""
    return [
        {"name": name, "description": content.get("description", ""), "fields": _fields(content)}
        for name, content in document["components"]["schemas"].items()
    ]


def read_methods(document: Spec) -> list[dict[str, Any]]:
    """The operations as methods of the clients, in the order of the document.

    Returns:
        Name, HTTP method, path with {name} for path parameters, summary, description, parameters (fields of the body, or path
        parameters), name of the schema of the body ("" for GET) and of the response, which may also be `text` or `bytes`.
    """
    methods = []
    for path, operations in document["paths"].items():
        for http_method, operation in operations.items():
            body = operation.get("requestBody", {}).get("content", {}).get(JSON_TYPE, {}).get("schema")
            request = _reference(body) if body else ""
            parameters = [_field(one["name"], one["schema"], True) for one in operation.get("parameters", ())]
            if request:
                parameters = _fields(document["components"]["schemas"][request])
            methods.append(
                {
                    "name": operation["operationId"],
                    "http_method": http_method.upper(),
                    "path": path,
                    "summary": operation["summary"],
                    "description": operation["description"],
                    "parameters": sorted(parameters, key=lambda one: not one["is_required"]),
                    "request": request,
                    "response": _response(operation["responses"]["200"]["content"]),
                }
            )
    return methods


def write_clients(folder: Path) -> None:
    """Write both clients, made from the committed OpenAPI document, into `folder`."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  # code, not HTML
    )
    environment.filters["comment"] = _comment
    content = {"schemas": read_schemas(document), "methods": read_methods(document)}
    for language in ("python", "typescript"):
        ignored = shutil.ignore_patterns("*.jinja", "__pycache__")
        shutil.copytree(FOLDER / language, folder / language, dirs_exist_ok=True, ignore=ignored)
        for template in (FOLDER / language).rglob("*.jinja"):
            name = template.relative_to(FOLDER)
            text = environment.get_template(name.as_posix()).render(content)
            (folder / name).with_suffix("").write_text(text, encoding="utf-8")


def load_document() -> Spec:
    """The OpenAPI document of the service of this checkout; its version does not depend on what is installed."""
    from serving.http.openapi import build_openapi_document
    from serving.service import Recommender

    document = build_openapi_document(Recommender.apis)  # type: ignore[attr-defined]
    return {**document, "info": {**document["info"], "version": "0.2.0"}}


def format_document(document: Spec) -> str:
    """The OpenAPI document as it is committed."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _reference(schema: Spec) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _fields(schema: Spec) -> list[dict[str, Any]]:
    required = schema.get("required", ())
    return [_field(name, one, name in required) for name, one in schema.get("properties", {}).items()]


def _field(name: str, schema: Spec, is_required: bool) -> dict[str, Any]:
    """A property of a schema or a parameter of a method, with its types as code."""
    python = type_name(schema, PYTHON)
    return {
        "name": name,
        "python_name": f"{name}_" if keyword.iskeyword(name) else name,
        "python": python,
        "typescript": type_name(schema, TYPESCRIPT),
        "is_required": is_required,
        "is_nullable": "None" in python.split(" | "),
        "description": " ".join(schema.get("description", "").split()),
    }


def _response(content: Spec) -> str:
    if JSON_TYPE in content:
        return _reference(content[JSON_TYPE]["schema"])
    return "text" if "text/plain" in content else "bytes"


def _comment(text: str, indent: int, prefix: str = "") -> str:
    """The text as indented lines, each after the first with `prefix`."""
    lines = [
        line
        for paragraph in text.split("\n\n")
        for line in [*textwrap.wrap(" ".join(paragraph.split()), WIDTH - indent), ""]
    ]
    return f"\n{' ' * indent}{prefix}".join(lines[:-1]).replace(f"{prefix}\n", f"{prefix.rstrip()}\n")


def main() -> None:
    """Write the files."""
    DOCUMENT.write_text(format_document(load_document()), encoding="utf-8")
    write_clients(BUILT)
    print(DOCUMENT, BUILT, sep="\n")


if __name__ == "__main__":
    main()
