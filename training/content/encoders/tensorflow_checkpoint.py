"""Reads TensorFlow checkpoints (format V2, "tensor bundles") without TensorFlow.

`<prefix>.index` is a table in LevelDB's format: blocks of sorted, prefix-compressed keys, a block that lists them, and
a footer that says where that block is. The values are `BundleEntryProto` messages: type, shape, and where in
`<prefix>.data-00000-of-00001` the tensor is. Supported is what such files contain: uncompressed blocks, one data file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

FOOTER_BYTES = 48
TABLE_MAGIC = 0xDB4775248B80FB57
FLOAT32 = 1  # DataType.DT_FLOAT


def read_tensors(index: bytes, data: bytes) -> dict[str, NDArray[np.float32]]:
    """Every float32 tensor of a checkpoint, by variable name.

    Args:
        index: content of `<prefix>.index`.
        data: content of `<prefix>.data-00000-of-00001`.

    Raises:
        ValueError: `index` is not the index of a checkpoint, or `data` is shorter than it says.
    """
    if len(index) < FOOTER_BYTES or struct.unpack("<Q", index[-8:]) != (TABLE_MAGIC,):
        raise ValueError("these bytes are not the index of a TensorFlow checkpoint; pass the content of <prefix>.index")
    footer = index[-FOOTER_BYTES:]
    position = _skip_handle(footer, 0)  # of the block of metadata, which is empty
    tensors = {}
    for _, handle in _block_entries(index, footer[position:]):
        for name, message in _block_entries(index, handle):
            entry = _message_fields(message)
            if name and entry.get(1) == FLOAT32:  # the empty name is the header of the bundle
                tensors[name.decode()] = _tensor_at(name.decode(), entry, data)
    return tensors


def _tensor_at(name: str, entry: dict[int, int | bytes], data: bytes) -> NDArray[np.float32]:
    start, size = int(entry.get(4, 0)), int(entry.get(5, 0))
    if start + size > len(data):
        raise ValueError(f"{name} ends at byte {start + size} of a data file of {len(data)} bytes; use the whole file")
    shape = [int(_message_fields(dim).get(1, 0)) for dim in _repeated(bytes(entry.get(2, b"")), 2)]
    return np.frombuffer(data, dtype="<f4", count=size // 4, offset=start).reshape(shape)


def _block_entries(table: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the block at a handle (offset and size as varints)."""
    offset, position = _read_varint(handle, 0)
    size, _ = _read_varint(handle, position)
    block = table[offset : offset + size]
    restarts = struct.unpack("<I", block[-4:])[0]
    end, position, key = len(block) - 4 * (restarts + 1), 0, b""
    while position < end:
        shared, position = _read_varint(block, position)
        unshared, position = _read_varint(block, position)
        value_size, position = _read_varint(block, position)
        key = key[:shared] + block[position : position + unshared]
        position += unshared
        yield key, block[position : position + value_size]
        position += value_size


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of the fields of a protocol buffer message."""
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        match tag & 7:
            case 0:
                value, position = _read_varint(message, position)
                yield tag >> 3, value
            case 2:
                size, position = _read_varint(message, position)
                yield tag >> 3, message[position : position + size]
                position += size
            case 5:  # the checksum
                position += 4
            case wire_type:
                raise ValueError(f"unknown wire type {wire_type} in the index of a checkpoint")


def _message_fields(message: bytes) -> dict[int, int | bytes]:
    return dict(_fields(message))


def _repeated(message: bytes, field: int) -> list[bytes]:
    return [value for number, value in _fields(message) if number == field and isinstance(value, bytes)]


def _skip_handle(data: bytes, position: int) -> int:
    _, position = _read_varint(data, position)
    return _read_varint(data, position)[1]


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    """An integer of 7-bit groups, lowest first, and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
