"""`python -m clients.generate`: write the OpenAPI document of the service, and the clients into `build/clients`.

The document is simple (named schemas, JSON bodies, path parameters), so two templates and a translation of types suffice.
"""

from __future__ import annotations

import json
import keyword
import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

Spec = Mapping[str, Any]

FOLDER = Path(__file__).parent
DOCUMENT = FOLDER / "openapi.json"
BUILT = FOLDER.parent / "build" / "clients"
JSON_TYPE = "application/json"
WIDTH = 100


@dataclass(frozen=True)
class Language:
    """How a language writes types."""

    names: Mapping[str, str]
    literal: Callable[[Sequence[Any]], str]
    array: str
    record: str
    anything: str


PYTHON = Language(
    {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"},
    lambda values: f"Literal[{', '.join(map(repr, values))}]",
    "list[{}]",
    "dict[str, {}]",
    "object",
)
TYPESCRIPT = Language(
    {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"},
    lambda values: " | ".join(map(json.dumps, values)),
    "Array<{}>",
    "Record<string, {}>",
    "unknown",
)


@dataclass(frozen=True)
class Field:
    """A property of a schema or a parameter of a method."""

    name: str
    python_name: str  # `from` is a keyword in Python
    python: str
    typescript: str
    is_required: bool
    is_nullable: bool
    description: str


@dataclass(frozen=True)
class Schema:
    """A named object type."""

    name: str
    description: str
    fields: list[Field]


@dataclass(frozen=True)
class Method:
    """An operation as a method of the clients."""

    name: str
    http_method: str
    path: str  # with {name} for path parameters
    summary: str
    description: str
    parameters: list[Field]  # fields of the body, or path parameters
    request: str  # name of the body's schema; empty for GET
    response: str  # name of the schema; `text` or `bytes`


def type_name(schema: Spec, language: Language) -> str:
    """The type of a schema, as code."""
    if "$ref" in schema:
        return _reference(schema)
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(type_name(one, language) for one in schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return language.literal(schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "")
    if kind == "array":
        return language.array.format(type_name(schema["items"], language))
    if kind == "object":
        # The names are any; without a schema of the values, or with `true`, they may be anything.
        values = schema.get("additionalProperties")
        return language.record.format(type_name(values if isinstance(values, dict) else {}, language))
    return language.names.get(kind, language.anything)


def read_schemas(document: Spec) -> list[Schema]:
    """The named schemas."""
    return [
        Schema(name, content.get("description", ""), _fields(content))
        for name, content in document["components"]["schemas"].items()
    ]


def read_methods(document: Spec) -> list[Method]:
    """The operations, in the order of the document."""
    methods = []
    for path, operations in document["paths"].items():
        for http_method, operation in operations.items():
            body = operation.get("requestBody", {}).get("content", {}).get(JSON_TYPE, {}).get("schema")
            request = _reference(body) if body else ""
            parameters = [_field(one["name"], one["schema"], True) for one in operation.get("parameters", ())]
            if request:
                parameters = _fields(document["components"]["schemas"][request])
            methods.append(
                Method(
                    operation["operationId"],
                    http_method.upper(),
                    path,
                    operation["summary"],
                    operation["description"],
                    sorted(parameters, key=lambda one: not one.is_required),
                    request,
                    _response(operation["responses"]["200"]["content"]),
                )
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


def _fields(schema: Spec) -> list[Field]:
    required = schema.get("required", ())
    return [_field(name, one, name in required) for name, one in schema.get("properties", {}).items()]


def _field(name: str, schema: Spec, is_required: bool) -> Field:
    python, description = type_name(schema, PYTHON), " ".join(schema.get("description", "").split())
    python_name = f"{name}_" if keyword.iskeyword(name) else name
    is_nullable = "None" in python.split(" | ")
    return Field(name, python_name, python, type_name(schema, TYPESCRIPT), is_required, is_nullable, description)


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
