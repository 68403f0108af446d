"""Nested configs survive JSON, and their fields can be changed by path."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import pytest

from config.dataclass_io import Section, change_config, config_from_dict


@dataclass(frozen=True)
class Inner(Section):
    """One section."""

    sizes: tuple[int, ...] = (8,)
    rate: float = 0.1


@dataclass(frozen=True)
class Outer(Section):
    """A config with a section."""

    inner: Inner = Inner()
    seed: int = 0


def test_json_round_trip_restores_sections_and_tuples() -> None:
    config = Outer(Inner((1, 2), 0.5), 3)
    assert config_from_dict(Outer, json.loads(json.dumps(asdict(config)))) == config
    assert config_from_dict(Outer, {"seed": 3}) == Outer(seed=3)


def test_changes_by_path_leave_the_original_alone() -> None:
    config = Outer()
    changed = change_config(config, {"seed": 1, "inner.rate": 0.2, "inner.sizes": (4,)})
    assert changed == Outer(Inner((4,), 0.2), 1) and config == Outer()
    assert change_config(config, {"inner": Inner((3,)), "inner.rate": 0.3}) == Outer(Inner((3,), 0.3))


def test_unknown_fields_raise() -> None:
    with pytest.raises(ValueError, match=r"width\n.*Unexpected keyword"):
        config_from_dict(Outer, {"width": 3})
    with pytest.raises(ValueError, match="Inner has no field 'width'"):
        change_config(Outer(), {"inner.width": 3})
