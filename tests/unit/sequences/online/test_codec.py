"""Encoded lists equal those of Feast's protobuf classes and decode to the same values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
from feast.protos.feast.types.Value_pb2 import FloatList, Int64List, StringList, Value
from hypothesis import given
from hypothesis import strategies as st

from sequences.online.codec import EncodedColumn, append_lists, decode_values
from sequences.online.store_rows import to_list_value
from sequences.views import Kind

texts = st.text(max_size=6) | st.sampled_from(["", "é" * 64, "x" * 127, "x" * 128, "\n\n", "x" * 20_000])
numbers = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 127, 128, -1, 2**63 - 1, 1_700_000_000_000_000])
ratios = st.floats(width=32, allow_infinity=False)


def encode_all(kind: str, lists: list[list[Any]], column: pa.Array) -> list[bytes]:
    bounds = np.cumsum([0, *map(len, lists)])
    return EncodedColumn.from_arrow(kind, column).encode_lists(np.arange(bounds[-1]), bounds)


@given(st.lists(st.lists(texts, max_size=5), max_size=4))
def test_string_lists(lists: list[list[str]]) -> None:
    flat = pa.array([value for one in lists for value in one], pa.string())
    expected = [Value(string_list_val=StringList(val=one)).SerializeToString() for one in lists]
    assert encode_all("string", lists, flat) == expected
    assert encode_all("string", lists, flat.dictionary_encode()) == expected
    assert [decode_values(one) for one in expected] == lists


@given(st.lists(st.lists(numbers, max_size=5), max_size=4))
def test_integer_lists(lists: list[list[int]]) -> None:
    flat = pa.array([value for one in lists for value in one], pa.int64())
    expected = [Value(int64_list_val=Int64List(val=one)).SerializeToString() for one in lists]
    assert encode_all("time", lists, flat) == expected
    assert [decode_values(one) for one in expected] == lists


@given(st.lists(st.lists(ratios, max_size=5), max_size=4))
def test_float_lists(lists: list[list[float]]) -> None:
    flat = pa.array([value for one in lists for value in one], pa.float32())
    # Compared value by value, because NaN has several encodings.
    for encoded, one in zip(encode_all("ratio", lists, flat), lists, strict=True):
        assert len(encoded) == len(Value(float_list_val=FloatList(val=one)).SerializeToString())
        for found, given_value in zip(decode_values(encoded), one, strict=True):
            assert found == given_value or (math.isnan(found) and math.isnan(given_value))


def test_lists_can_share_events_in_any_order() -> None:
    column = EncodedColumn.from_arrow("string", pa.array(["a", "b", "c"]))
    encoded = column.encode_lists(np.array([2, 0, 0, 1]), np.array([0, 2, 2, 4]))
    assert [decode_values(one) for one in encoded] == [["c", "a"], [], ["a", "b"]]


def test_scalar_and_empty_values() -> None:
    assert decode_values(Value(int64_val=5).SerializeToString()) == [5]
    assert decode_values(Value().SerializeToString()) == decode_values(None) == []


@given(st.lists(st.tuples(texts, numbers, ratios), max_size=9), st.integers(0, 9), st.integers(1, 9))
def test_appended_lists_equal_lists_of_all_elements(events: list[tuple[Any, ...]], stored: int, length: int) -> None:
    kinds: dict[str, Kind] = {"event_id": "string", "ended_at": "time", "played_ratio": "ratio"}

    def encoded(part: list[tuple[Any, ...]]) -> dict[str, bytes]:
        return {
            name: to_list_value(kind, [row[n] for row in part]).SerializeToString()
            for n, (name, kind) in enumerate(kinds.items())
        }

    before, after = events[:stored][-length:], events[stored:][-length:]
    assert append_lists(kinds, encoded(before), encoded(after), length) == encoded(events[-length:])
    assert append_lists(kinds, dict.fromkeys(kinds), encoded(after), length) == encoded(after)
