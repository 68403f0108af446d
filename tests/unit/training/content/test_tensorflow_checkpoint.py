"""Reading a checkpoint that is written by hand, byte by byte."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from training.content.encoders.tensorflow_checkpoint import read_tensors

DATA = np.arange(7, dtype="<f4").tobytes()


def entry(shape: bytes, offset: int, size: int, dtype: int = 1) -> bytes:
    """A BundleEntryProto: type, shape, offset, size, checksum."""
    place = (bytes([0x20, offset]) if offset else b"") + bytes([0x28, size])
    return bytes([0x08, dtype, 0x12, len(shape)]) + shape + place + b"\x35" + bytes(4)


def block(*rows: tuple[int, bytes, bytes]) -> bytes:
    """Rows of (bytes shared with the previous key, rest of the key, value), one restart, type and checksum."""
    content = b"".join(bytes([shared, len(key), len(value)]) + key + value for shared, key, value in rows)
    return content + struct.pack("<II", 0, 1)


def checkpoint() -> bytes:
    entries = block(
        (0, b"", b"\x08\x01"),
        (0, b"dense/bias", entry(b"\x12\x02\x08\x01", 0, 4)),
        (6, b"kernel", entry(b"\x12\x02\x08\x02\x12\x02\x08\x03", 4, 24)),
        (0, b"step", entry(b"", 0, 4, dtype=9)),
    )
    index = block((0, b"t", bytes([0, 0x80 | (len(entries) & 0x7F), len(entries) >> 7])))
    footer = bytes([0, 0]) + bytes([0x80 | ((len(entries) + 5) & 0x7F), (len(entries) + 5) >> 7, len(index)])
    return entries + bytes(5) + index + bytes(5) + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def test_tensors_are_read_by_name() -> None:
    tensors = read_tensors(checkpoint(), DATA)
    assert sorted(tensors) == ["dense/bias", "dense/kernel"]
    np.testing.assert_array_equal(tensors["dense/bias"], [0])
    np.testing.assert_array_equal(tensors["dense/kernel"], [[1, 2, 3], [4, 5, 6]])


def test_other_files_and_short_data_are_rejected() -> None:
    with pytest.raises(ValueError, match="not the index of a TensorFlow checkpoint"):
        read_tensors(DATA * 20, DATA)
    with pytest.raises(ValueError, match="dense/kernel ends at byte 28 of a data file of 20 bytes"):
        read_tensors(checkpoint(), DATA[:20])
