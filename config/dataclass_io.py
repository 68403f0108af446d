"""Configs composed of nested frozen dataclasses: reading and checking them, and copying them with changed fields.

`dataclasses.asdict` writes a config; `config_from_dict` is its inverse after a round trip through JSON or YAML, which have lists
instead of tuples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

from pydantic import ConfigDict, TypeAdapter

Config = TypeVar("Config")


class Section:
    """Base of the dataclasses of a config: pydantic rejects fields that they do not have."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


def config_from_dict(config_class: type[Config], values: Mapping[str, Any]) -> Config:
    """Return a config of the given class.

    Raises:
        ValueError: A field is missing, unknown or of another type; the message names it.
    """
    return TypeAdapter(config_class).validate_python(dict(values))


def change_config(config: Config, changes: Mapping[str, Any]) -> Config:
    """Return a copy with changed fields; dots separate levels, as in `{"seed": 1, "features.hard_search": False}`.

    Raises:
        ValueError: The config has no field of that name.
    """
    for path, value in changes.items():
        name, _, rest = path.partition(".")
        if not hasattr(config, name):
            raise ValueError(f"{type(config).__name__} has no field {name!r} (from {path!r})")
        inner = change_config(getattr(config, name), {rest: value}) if rest else value
        config = replace(config, **{name: inner})  # type: ignore[type-var]
    return config


def with_seed(config: Config, seed: int) -> Config:
    """Return a copy with another seed; the config itself if nothing in it is random."""
    return change_config(config, {"seed": seed}) if hasattr(config, "seed") else config
