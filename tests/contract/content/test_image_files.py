"""The image encoder on all kinds of images; `test_encoder_conformance.py` has formats and damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from content.encoders.encoder import MediaError
from content.encoders.image import MAX_PIXELS, ImageEncoder
from tests.support.training.media import picture, png_of_size


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("L", ".png"),
        ("LA", ".png"),
        ("RGBA", ".png"),
        ("P", ".png"),
        ("1", ".png"),
        ("I;16", ".png"),
        ("CMYK", ".jpg"),
        ("L", ".jpg"),
    ],
)
def test_modes_look_the_same(mode: str, suffix: str, image_encoder: ImageEncoder, tmp_path: Path) -> None:
    """Colors of every mode are those that Pillow shows for it; 16-bit values are scaled, not clipped."""
    path = tmp_path / f"picture{suffix}"
    image = picture()
    if mode == "I;16":
        expected = image.convert("L")
        Image.fromarray(np.asarray(expected).astype(np.uint16) * 256).save(path)
    else:
        expected = image.convert(mode)
        expected.save(path, quality=100) if suffix == ".jpg" else expected.save(path)
    plain_HWC = np.asarray(expected.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC), dtype=np.int16)
    assert np.abs(image_encoder.load(path).permute(1, 2, 0).numpy().astype(np.int16) - plain_HWC).mean() < 3


def test_transparent_pixels_are_white(image_encoder: ImageEncoder, tmp_path: Path) -> None:
    image = Image.new("RGBA", (300, 300), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 150, 300))
    image.save(tmp_path / "half.png")
    color_CHW = image_encoder.load(tmp_path / "half.png")
    assert color_CHW[:, 100, 200].tolist() == [255, 255, 255]
    assert color_CHW[:, 100, 20].tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    ("suffix", "format_name"), [(".gif", "GIF"), (".webp", "WEBP"), (".png", "PNG"), (".jpg", "MPO")]
)
def test_first_frame_of_an_animation_is_encoded(
    suffix: str, format_name: str, image_encoder: ImageEncoder, tmp_path: Path
) -> None:
    path = tmp_path / f"animation{suffix}"
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "green", "blue")]
    frames[0].save(path, format_name, save_all=True, append_images=frames[1:])
    red, green, blue = image_encoder.load(path).float().mean((1, 2)).tolist()
    assert red > 200 and green < 50 and blue < 50


def test_orientation_is_applied(image_encoder: ImageEncoder, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    picture().save(tmp_path / "plain.jpg", quality=95)
    picture().rotate(180).save(tmp_path / "turned.jpg", quality=95, exif=exif)
    one, other = (image_encoder.load(tmp_path / name).float() for name in ("plain.jpg", "turned.jpg"))
    assert (one - other).abs().mean() < 3


@pytest.mark.parametrize(
    ("size", "suffix"), [((1, 1), ".png"), ((1, 3_000), ".png"), ((5_000, 5_000), ".jpg"), ((4_000, 4_000), ".png")]
)
def test_small_and_large_images(
    size: tuple[int, int], suffix: str, image_encoder: ImageEncoder, tmp_path: Path
) -> None:
    path = tmp_path / f"picture{suffix}"
    Image.new("RGB", size, (10, 200, 30)).save(path)
    assert image_encoder.load(path)[:, 100, 100].tolist() == pytest.approx([10, 200, 30], abs=2)


@pytest.mark.parametrize(
    "size",
    [(MAX_PIXELS // 1_000 + 1, 1_000), (30_000, 30_000), (2**31 - 1, 2**31 - 1), (MAX_PIXELS, 1), (1, MAX_PIXELS)],
)
def test_decompression_bombs_are_rejected_before_decoding(
    size: tuple[int, int], image_encoder: ImageEncoder, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of_size(*size))
    with pytest.raises(MediaError, match=r"pixels; covers|Bomb"):
        image_encoder.load(path)


def test_a_jpeg_with_many_scans_is_rejected(image_encoder: ImageEncoder, tmp_path: Path) -> None:
    """Each scan of a few bytes makes a decoder pass over all pixels."""
    path = tmp_path / "scans.jpg"
    picture().save(path, progressive=True)
    image_encoder.load(path)
    content = path.read_bytes()
    last = content.rfind(b"\xff\xda")
    path.write_bytes(content[:last] + content[last:-2] * 12_000 + content[-2:])
    with pytest.raises(MediaError, match="scans"):
        image_encoder.load(path)
