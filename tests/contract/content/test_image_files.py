"""The image encoder on all kinds of image files, and on files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from content.encoders.encoder import MediaError
from content.encoders.image import MAX_PIXELS, ImageEncoder
from tests.support.training.media import cosine, encode_file, picture, png_of_size

SUFFIXES = (".jpg", ".png", ".webp", ".gif", ".bmp")


@pytest.fixture(scope="module")
def reference(image_encoder: ImageEncoder, tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.float32]:
    """The vector of the picture without compression."""
    path = tmp_path_factory.mktemp("reference") / "picture.png"
    picture().save(path)
    return encode_file(image_encoder, path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_format_hardly_changes_the_vector(
    suffix: str, image_encoder: ImageEncoder, reference: NDArray[np.float32], tmp_path: Path
) -> None:
    path = tmp_path / f"picture{suffix}"
    picture().save(path, **({"quality": 95} if suffix == ".jpg" else {}))
    assert cosine(encode_file(image_encoder, path), reference) > (0.8 if suffix == ".gif" else 0.9)


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
    loaded_HWC = image_encoder.load(path).permute(1, 2, 0).numpy().astype(np.int16)
    assert np.abs(loaded_HWC - plain_HWC).mean() < 3


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


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_files_are_rejected(suffix: str, image_encoder: ImageEncoder, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    picture().save(path)
    content = path.read_bytes()
    for share in (0.02, 0.5, 0.9):
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(MediaError):
            image_encoder.load(path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files_raise_nothing_else(suffix: str, image_encoder: ImageEncoder, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / f"picture{suffix}"
    picture((64, 64)).save(path)
    original = path.read_bytes()
    for _ in range(30):
        content = bytearray(original)
        for position in rng.integers(0, min(len(content), 10 ** int(rng.integers(1, 5))), 5):
            content[position] = int(rng.integers(256))
        path.write_bytes(content)
        try:
            assert image_encoder.load(path).shape == (3, 224, 224)
        except MediaError as error:
            assert error.path == path and error.reason


@pytest.mark.parametrize(
    "content", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"II*\0" + bytes(100)], ids=["empty", "svg", "tiff"]
)
def test_what_is_no_image_is_rejected(content: bytes, image_encoder: ImageEncoder, tmp_path: Path) -> None:
    path = tmp_path / "cover.jpg"
    path.write_bytes(content)
    for broken in (path, tmp_path, tmp_path / "missing.jpg"):
        with pytest.raises(MediaError):
            image_encoder.load(broken)
