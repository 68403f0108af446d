"""Safetensors files without copies: arrays that are mapped into memory, so that processes share the pages that they read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


def map_tensors(file: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file by name; `safetensors.numpy.load_file` would copy them.

    Changes of an array stay in this process. The file must not be changed in place meanwhile.
    """
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(size))
    data = np.memmap(file, mode="c").view(np.ndarray)[8 + size :]
    return {
        name: data[slice(*entry["data_offsets"])].view(DTYPES[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__"
    }
