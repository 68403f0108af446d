"""The detector of music: its fit, its rule, and what reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from content.audio_facets import MAPPING_FILE
from content.encoders.audio import AudioEncoder
from content.encoders.musicnn import TAGS, WIDTH
from content.music_detection import (
    MIN_MUSIC_PROBABILITY,
    find_unheard,
    mark_music,
    music_probability,
    scan_music,
)
from media.instruments import RATE
from media.preview import encode_opus, render_preview
from storage.mart_tables import CONTENT_SCHEMA, table_file
from tests.support.media_descriptions import described
from tests.support.training.content_home import ContentHome
from training.encode_content import encode


def test_only_audio_that_is_not_music_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "encoder": "audio",
        "encoder_version": "v",
        "content_hash": "0",
        "embedding": [1.0],
        "tag_probabilities": None,
    }
    below = float(np.nextafter(np.float32(MIN_MUSIC_PROBABILITY), np.float32(0)))
    rows = [
        row | {"track_id": name, "music_probability": value}
        for name, value in (("no", 0.0), ("below", below), ("at", MIN_MUSIC_PROBABILITY), ("null", None))
    ]
    file = table_file(tmp_path, "audio")
    pq.write_table(pa.Table.from_pylist(rows, CONTENT_SCHEMA), file)
    assert scan_music(file).collect()["track_id"].to_list() == ["at", "null"]
    tracks = pl.DataFrame({"track_id": [*(row["track_id"] for row in rows), "without audio"]})
    plays = pl.LazyFrame(schema={"track_id": pl.String, "is_listened": pl.Boolean})
    assert mark_music(tracks, tmp_path, plays).filter("is_music")["track_id"].to_list() == [
        "at",
        "null",
        "without audio",
    ]
    monkeypatch.setenv("SEGUE_OTHER_SOUNDS", "yes")
    assert mark_music(tracks, tmp_path, plays)["is_music"].all()


@pytest.mark.parametrize("probability", [1.0, 0.0])
def test_files_that_are_not_encoded_wait_for_a_listen_if_others_are_music(tmp_path: Path, probability: float) -> None:
    pl.DataFrame({"track_id": ["encoded"], "music_probability": [probability]}).write_parquet(
        file := table_file(tmp_path, "audio")
    )
    rows = [("encoded", True, "1.ogg"), ("new", True, "2.ogg"), ("heard", True, "3.ogg"), ("catalog", False, "4.ogg")]
    tracks = pl.DataFrame(rows, schema=["track_id", "is_from_music_folder", "audio_path"], orient="row")
    plays = pl.LazyFrame({"track_id": ["new", "heard"], "is_listened": [False, True]})
    assert find_unheard(tracks, file, plays) == (["new"] if probability else [])


def test_audio_that_is_not_music_fills_no_facets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_HOME", "")
    home = ContentHome(tmp_path)
    home.write_tracks({"a": None, "b": None}, audio_path=[home.write(f"{name}.wav", name.encode()) for name in "ab"])
    tag = TAGS.index(pl.read_csv(MAPPING_FILE)["tag"][0])

    def encode_with_tags(_: AudioEncoder, batch: list[str]) -> tuple[np.ndarray, np.ndarray]:
        tags_BT = np.zeros((len(batch), len(TAGS)), dtype=np.float32)
        tags_BT[:, tag] = 0.9
        return np.array([[float(name == "a")] * WIDTH for name in batch], dtype=np.float32), tags_BT

    monkeypatch.setattr(AudioEncoder, "__init__", lambda self: None)  # no network
    monkeypatch.setattr(AudioEncoder, "load", lambda self, source: source.stem)
    monkeypatch.setattr(AudioEncoder, "encode_with_tags", encode_with_tags)
    monkeypatch.setattr("training.encode_content.music_probability", lambda embedding_ND, tags_NT: embedding_ND[:, 0])
    encode(home.settings, "audio")
    assert home.table("audio")["music_probability"].to_list() == [1, 0]
    assert set(pq.read_table(home.home / "marts" / "track_facets.parquet").to_pydict()["track_id"]) == {"a"}


def test_simulated_previews_are_music_and_noise_is_not(tmp_path: Path) -> None:
    encoder = AudioEncoder()
    noise_S = np.random.default_rng(0).normal(0, 0.1, 5 * RATE).astype(np.float32)
    sounds = {style: render_preview(described(style=style)) for style in ("pop", "folk")} | {"noise": noise_S}
    for name, sample_S in sounds.items():
        (tmp_path / f"{name}.ogg").write_bytes(encode_opus(sample_S))
    probability_N = music_probability(
        *encoder.encode_with_tags([encoder.load(tmp_path / f"{name}.ogg") for name in sounds])
    )
    assert (probability_N >= MIN_MUSIC_PROBABILITY).tolist() == [True, True, False]
