"""`python -m training.content.encoders.convert_musicnn WHEEL`: write weights/mtt_musicnn.safetensors from musicnn's wheel.

Only needed to check or renew the file, which is part of the repository. The wheel is
`pip download --no-deps musicnn==0.1.0`.
"""

from __future__ import annotations

import argparse
import hashlib
import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from training.content.encoders.musicnn import WEIGHTS
from training.content.encoders.tensorflow_checkpoint import read_tensors

WHEEL_SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
CHECKPOINT = "musicnn/MTT_musicnn/"
NOT_WEIGHTS = ("/Adam", "/Adam_1", "beta1_power", "beta2_power")


def convert(wheel: Path, target: Path) -> None:
    """Write the weights of `MTT_musicnn`, without the state of the optimizer.

    Raises:
        ValueError: the file is not the wheel of musicnn 0.1.0.
    """
    content = wheel.read_bytes()
    if hashlib.sha256(content).hexdigest() != WHEEL_SHA256:
        raise ValueError(f"{wheel} is not the wheel of musicnn 0.1.0; run: pip download --no-deps musicnn==0.1.0")
    with zipfile.ZipFile(wheel) as archive:
        tensors = read_tensors(archive.read(f"{CHECKPOINT}.index"), archive.read(f"{CHECKPOINT}.data-00000-of-00001"))
    weights = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors) if not name.endswith(NOT_WEIGHTS)}
    save_file(weights, target)


def main() -> None:
    """Convert the wheel that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m training.content.encoders.convert_musicnn", description=__doc__)
    parser.add_argument("wheel", type=Path)
    convert(parser.parse_args().wheel, WEIGHTS)
    print(f"written to {WEIGHTS}")


if __name__ == "__main__":
    main()
