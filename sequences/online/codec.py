"""Vectorized codec of Feast's stored lists, without a Python object per element when encoding.

A stored feature is a protobuf `Value` with a `StringList`, `Int64List` or `FloatList`. Its elements are contiguous, so the
encoding of a list is a slice of the encodings of all events. Messages are parsed lazily. Tests compare both directions
with Feast's own classes. Legend: E events, N bytes of a varint. Independent of stores and users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast.protos.feast.types.Value_pb2 import Value
from numpy.typing import NDArray

from sequences.views import Kind

VALUE_FIELDS: dict[Kind, str] = {
    "string": "string_list_val",
    "time": "int64_list_val",
    "order": "int64_list_val",
    "ratio": "float_list_val",
}
LIST_FIELDS = frozenset(VALUE_FIELDS.values())
LENGTH_DELIMITED = 2
VARINT_BYTES = 10
FLOAT_BYTES = 4


class StoredValue:
    """Encoded bytes of a `Value`, accepted by online stores in place of the protobuf message."""

    __slots__ = ("encoded",)

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded

    def SerializeToString(self) -> bytes:
        """The bytes of the message."""
        return self.encoded

    def WhichOneof(self, group: str) -> None:
        """None: stores call it to keep a readable copy of scalar numbers and texts, which lists do not have."""


class LazyColumn(Sequence[Any]):
    """A list of attribute values that is computed on first access; thread-safe."""

    __slots__ = ("_make", "_values")

    def __init__(self, make: Callable[[], list[Any]]) -> None:
        self._make: Callable[[], list[Any]] | None = make
        self._values: list[Any] = []

    @property
    def values(self) -> list[Any]:
        """The list; must not be modified."""
        make = self._make
        if make is not None:
            self._values = make()
            self._make = None  # after the assignment: another thread may read concurrently
        return self._values

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...
    def __getitem__(self, place: int | slice) -> Any:
        return self.values[place]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def __eq__(self, other: object) -> bool:
        return self.values == (other.values if isinstance(other, LazyColumn) else other)

    __hash__ = None  # type: ignore[assignment]  # unhashable like a list

    def __repr__(self) -> str:
        return repr(self.values)


def decode_values(encoded: bytes | None) -> list[Any]:
    """The values of a stored list, or the single value of a scalar feature; empty if nothing is stored."""
    return value_list(Value.FromString(encoded)) if encoded else []


def value_list(value: Value) -> list[Any]:
    """The values of a list, or the single value of a scalar feature; empty without a value."""
    field = value.WhichOneof("val")
    if field is None:
        return []
    content = getattr(value, field)
    return content.val[:] if field in LIST_FIELDS else [content]


class EncodedColumn:
    """One attribute of E events, each value encoded as a list element."""

    def __init__(self, kind: Kind, elements: pa.Array) -> None:
        self.kind = kind
        self._elements = elements.cast(pa.large_binary())

    @classmethod
    def from_arrow(cls, kind: Kind, column: pa.Array) -> EncodedColumn:
        """Encode a column without nulls, as `fill_missing` returns it."""
        if kind == "string":
            return cls(kind, _encode_strings(column))
        if kind == "ratio":
            numbers = np.ascontiguousarray(column.to_numpy(zero_copy_only=False), dtype="<f4")
            return cls(kind, pa.Array.from_buffers(pa.binary(4), len(numbers), [None, pa.py_buffer(numbers)]))
        return cls(kind, _encode_varints(column.to_numpy(zero_copy_only=False)))

    def encode_lists(self, events: NDArray[np.int64], bounds: NDArray[np.int64]) -> list[bytes]:
        """The encoded `Value` of each list; list n consists of the events `events[bounds[n]:bounds[n + 1]]`."""
        chosen = self._elements.take(pa.array(events))
        offsets = np.frombuffer(chosen.buffers()[1], dtype=np.int64)[chosen.offset : chosen.offset + len(chosen) + 1]
        data = memoryview(chosen.buffers()[2] or b"")
        ends = offsets[bounds].tolist()
        return [_encode_elements(self.kind, data[begin:end]) for begin, end in pairwise(ends)]


def append_lists(
    kinds: Mapping[str, Kind], stored: Mapping[str, bytes | None], added: Mapping[str, bytes], length: int
) -> dict[str, bytes]:
    """The last `length` elements of two rows of lists, one after the other, without decoding the elements.

    Args:
        kinds: attribute ▸ kind, at least one of them not `string`.
        stored: attribute ▸ encoded list; None if nothing is stored.
        added: attribute ▸ encoded list of the elements that follow.
        length: Maximum number of elements.
    """
    before = {name: _elements(kind, stored[name]) for name, kind in kinds.items()}
    after = {name: _elements(kind, added[name]) for name, kind in kinds.items()}
    counted = next(name for name, kind in kinds.items() if kind != "string")
    total = sum(_count(kinds[counted], elements[counted]) for elements in (before, after))
    first = max(0, total - length)
    return {
        name: _encode_elements(kind, before[name][_offset(kind, before[name], first) :] + after[name])
        for name, kind in kinds.items()
    }


def _encode_elements(kind: Kind, elements: bytes | memoryview) -> bytes:
    # Numbers are packed: one length prefix for all of them. Texts each have their own.
    packed = b"\n" + _encode_varint(len(elements)) if kind != "string" and len(elements) else b""
    return b"".join((_FIELD_TAGS[kind], _encode_varint(len(packed) + len(elements)), packed, elements))


def _elements(kind: Kind, encoded: bytes | None) -> bytes:
    """The elements of an encoded list: the inverse of `_encode_elements`; none if nothing is stored."""
    if not encoded:
        return b""
    _, begin = _decode_varint(encoded, len(_FIELD_TAGS[kind]))
    if kind != "string" and begin < len(encoded):
        _, begin = _decode_varint(encoded, begin + 1)
    return encoded[begin:]


def _count(kind: Kind, elements: bytes) -> int:
    """Number of packed numbers."""
    if kind == "ratio":
        return len(elements) // FLOAT_BYTES
    return int((np.frombuffer(elements, dtype=np.uint8) < 0x80).sum())


def _offset(kind: Kind, elements: bytes, number: int) -> int:
    """Position of the element with this number."""
    if number == 0:
        return 0
    if kind == "ratio":
        return number * FLOAT_BYTES
    if kind != "string":
        ends = np.flatnonzero(np.frombuffer(elements[: number * VARINT_BYTES], dtype=np.uint8) < 0x80)
        return int(ends[number - 1]) + 1
    place = 0
    for _ in range(number):
        size, begin = _decode_varint(elements, place + 1)
        place = begin + size
    return place


def _encode_strings(column: pa.Array) -> pa.Array:
    """Each text encoded as field 1 of a StringList: tag, length, UTF-8 bytes."""
    if pa.types.is_dictionary(column.type):
        return _encode_strings(column.dictionary).take(column.indices)
    lengths = pc.binary_length(column).dictionary_encode()
    prefixes = pa.array([b"\n" + _encode_varint(length) for length in lengths.dictionary.to_pylist()], pa.binary())
    return pc.binary_join_element_wise(prefixes.take(lengths.indices), column.cast(pa.binary()), b"")


def _encode_varints(numbers: NDArray[np.int64]) -> pa.Array:
    """Each number as a varint: 7 bits per byte, least significant first, the high bit set on all bytes but the last."""
    remaining_E = np.ascontiguousarray(numbers, dtype=np.int64).view(np.uint64)
    bytes_EN = np.empty((len(remaining_E), VARINT_BYTES), dtype=np.uint8)
    length_E = np.ones(len(remaining_E), dtype=np.int64)
    for place in range(VARINT_BYTES):
        bytes_EN[:, place] = (remaining_E & np.uint64(0x7F)).astype(np.uint8)
        remaining_E = remaining_E >> np.uint64(7)
        length_E += remaining_E > 0
    place_N = np.arange(VARINT_BYTES)
    bytes_EN[place_N < length_E[:, None] - 1] |= 0x80
    data = bytes_EN[place_N < length_E[:, None]]
    offsets = np.concatenate([[0], np.cumsum(length_E)])
    return pa.Array.from_buffers(pa.large_binary(), len(length_E), [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def _decode_varint(encoded: bytes, place: int) -> tuple[int, int]:
    """(number that begins at `place`, position after it)."""
    number = shift = 0
    while encoded[place] & 0x80:
        number |= (encoded[place] & 0x7F) << shift
        place, shift = place + 1, shift + 7
    return number | encoded[place] << shift, place + 1


def _encode_varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_FIELD_TAGS: dict[Kind, bytes] = {
    kind: _encode_varint(Value.DESCRIPTOR.fields_by_name[name].number << 3 | LENGTH_DELIMITED)
    for kind, name in VALUE_FIELDS.items()
}
