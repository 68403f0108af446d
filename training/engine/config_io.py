"""Configs composed of nested frozen dataclasses: reading them from JSON and copying them with changed fields.

`dataclasses.asdict` writes a config; `config_from_dict` is its inverse after a round trip through JSON, which has lists
instead of tuples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Config = TypeVar("Config")


def config_from_dict(config_class: type[Config], values: Mapping[str, Any]) -> Config:
    """Return a config of the given class; a missing field keeps its default.

    Raises:
        ValueError: The class has no field of that name.
    """
    types = get_type_hints(config_class)
    if unknown := values.keys() - {field.name for field in fields(config_class)}:  # type: ignore[arg-type]
        raise ValueError(f"{config_class.__name__} has no field {', '.join(sorted(unknown))}; fit the model again")
    return config_class(**{name: _decode(types[name], value) for name, value in values.items()})


def change_config(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return a copy with changed fields; dots separate levels, as in `{"seed": 1, "features.hard_search": False}`.

    Raises:
        ValueError: The config has no field of that name.
    """
    nested: dict[str, dict[str, Any]] = {}
    direct: dict[str, Any] = {}
    for path, value in changes.items():
        name, _, rest = path.partition(".")
        if not hasattr(config, name):
            raise ValueError(f"{type(config).__name__} has no field {name!r} (from {path!r})")
        if rest:
            nested.setdefault(name, {})[rest] = value
        else:
            direct[name] = value
    for name, inner in nested.items():
        direct[name] = change_config(direct.get(name, getattr(config, name)), inner)
    return replace(config, **direct)  # type: ignore[type-var]


def with_seed(config: Config, seed: int) -> Config:
    """Return a copy with another seed; the config itself if nothing in it is random."""
    return change_config(config, {"seed": seed}) if hasattr(config, "seed") else config


def field_paths(config: Any) -> list[str]:
    """Return the dotted paths of all fields, in order; nested configs are listed by their own fields."""
    paths = []
    for field in fields(config):
        value = getattr(config, field.name)
        inner = field_paths(value) if is_dataclass(value) else []
        paths += [f"{field.name}.{path}" for path in inner] or [field.name]
    return paths


def get_field(config: Any, path: str) -> Any:
    """Return the value at a dotted path."""
    for name in path.split("."):
        config = getattr(config, name)
    return config


def _decode(annotation: Any, value: Any) -> Any:
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(option for option in get_args(annotation) if option is not NoneType)
    if is_dataclass(annotation) and isinstance(annotation, type) and isinstance(value, Mapping):
        return config_from_dict(annotation, value)
    if isinstance(value, list) and get_origin(annotation) is not list:
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    return value
