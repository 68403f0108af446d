"""Content of a few tracks: missing parts are zeros, vectors are reduced to their principal components."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from content.track_content import BLOCKS, COMMENT_SCHEMA, TrackContent, pca_whiten
from storage.mart_tables import CONTENT_SCHEMA, table_file
from tests.support.training.tiny_world import random_plays, write_marts
from training.data.training_data import TrainingData
from training.recipes import recipe

NO_COMMENTS = pl.DataFrame(schema=COMMENT_SCHEMA)


def test_names_alone_do_not_describe_a_track() -> None:
    titles = ["Blue Train", "Blue Trane", None, ""]
    tracks = pl.DataFrame({"track_id": list("abcd"), "title": titles, "artist_names": [["Jon"], ["Jon"], None, [None]]})
    tracks = tracks.with_columns(lyrics=pl.lit(None, pl.String))
    content = TrackContent.of(tracks, NO_COMMENTS)
    assert content.row_VW.dtype == np.float16
    assert content.row_VW.any(axis=1).tolist() == [True, True, False, False]
    assert not content.has_descriptive_content_V.any()


def test_principal_components_equal_a_full_svd() -> None:
    random = np.random.default_rng(0)
    vectors = (random.normal(size=(30, 3)) @ random.normal(size=(3, 7))).astype(np.float32)
    vectors[[4, 9]] = 0
    present = np.delete(np.arange(30), [4, 9])
    left, *_ = np.linalg.svd(vectors[present] - vectors[present].mean(0), full_matrices=False)
    for width, kept in ((2, 2), (16, 3)):
        found = pca_whiten(vectors, width)
        assert found.shape == (30, kept) and not found[[4, 9]].any()
        expected = left[:, :kept] / np.linalg.norm(left[:, :kept], axis=1, keepdims=True)
        np.testing.assert_allclose(found[present], expected * np.sign((found[present] * expected).sum(0)), atol=1e-3)
    assert pca_whiten(np.zeros((3, 4), dtype=np.float32), 8).shape == (3, 0)


def test_encoded_vectors_describe_tracks_without_a_vector_of_the_catalog() -> None:
    random = np.random.default_rng(0)
    catalog, encoded = random.normal(size=(4, 5)), random.normal(size=(8, 7))
    tracks = pl.DataFrame(
        {
            "track_id": list("abcdefgh"),
            "audio_vector": [*catalog.tolist(), *[None] * 4],
            "encoded_audio": [*encoded[:6].tolist(), None, encoded[7].tolist()],
            **dict.fromkeys(("title", "lyrics", "artist_names"), [None] * 8),
        }
    )
    content = TrackContent.of(tracks, NO_COMMENTS)
    assert content.has_descriptive_content_V.tolist() == [True] * 6 + [False, True]
    own = TrackContent.of(tracks.drop("encoded_audio").head(4), NO_COMMENTS).row_VW
    width = own.shape[1]
    assert not content.row_VW[:4, width:].any() and not content.row_VW[4:, :width].any()
    np.testing.assert_allclose(content.row_VW[:4, :width], own, atol=2e-3)
    others = TrackContent.of(tracks[[4, 5, 7]].drop("audio_vector"), NO_COMMENTS).row_VW
    np.testing.assert_allclose(np.abs(content.row_VW[[4, 5, 7], width:]), np.abs(others), atol=2e-3)


def test_published_vectors_of_music_are_read(tmp_path: Path) -> None:
    marts = write_marts(tmp_path / "marts", random_plays())
    row = {"track_id": "t3", "encoder": "audio", "encoder_version": "v", "content_hash": "0" * 64}
    vectors = [
        row | {"embedding": [1.0, 2.0]},
        row | {"track_id": "t4", "embedding": [2.0, -1.0]},
        row | {"track_id": "t5", "embedding": [0.5, 0.5], "music_probability": 0.1},
    ]
    pq.write_table(pa.Table.from_pylist(vectors, CONTENT_SCHEMA), table_file(marts, "audio"))
    data = TrainingData(marts, "held_out", recipe("debug"))
    assert set(data.vocabulary.decode(np.flatnonzero(data.content.has_descriptive_content_V))) == {"t3", "t4"}


def test_encoded_texts_are_a_block_of_tracks_that_have_lyrics_or_comments(tmp_path: Path) -> None:
    """t1 has lyrics, t2 a comment, t3 a comment from after the train part, t4 only a title."""
    marts = write_marts(tmp_path, random_plays())
    tracks = pl.read_parquet(marts / "tracks.parquet")
    lyrics = pl.when(pl.col("track_id") == "t1").then(pl.lit("la la river")).otherwise(pl.lit(" "))
    tracks.with_columns(lyrics=lyrics).write_parquet(marts / "tracks.parquet")
    validation_from = datetime(2024, 1, 5)
    pl.DataFrame({"split": ["global_time"], "validation_from": [validation_from]}).write_parquet(
        marts / "time_split.parquet"
    )
    comments = [("t2", "early bird", datetime(2024, 1, 4)), ("t3", "early bird", validation_from)]
    pl.DataFrame(comments, schema=COMMENT_SCHEMA, orient="row").write_parquet(marts / "track_comments.parquet")
    vectors = np.random.default_rng(0).normal(size=(4, 3)).tolist()
    row = {"encoder": "text", "encoder_version": "v", "content_hash": "0" * 64}
    texts = [row | {"track_id": f"t{number + 1}", "embedding": vector} for number, vector in enumerate(vectors)]
    pq.write_table(pa.Table.from_pylist(texts, CONTENT_SCHEMA), table_file(marts, "text"))
    for fit, expected in (("held_out", {"t1", "t2"}), ("final", {"t1", "t2", "t3"})):
        data = TrainingData(marts, fit, recipe("debug"))
        content = data.content
        text_VW = content.row_VW[:, content.block_W == BLOCKS.index("text")]
        assert set(data.vocabulary.decode(np.flatnonzero(text_VW.any(axis=1)))) == expected
        assert expected == set(data.vocabulary.decode(np.flatnonzero(content.has_descriptive_content_V)))


@pytest.mark.parametrize("number", [1e6, 1e25, -3e38])
def test_an_absurd_number_does_not_determine_the_components(number: float) -> None:
    vectors = np.random.default_rng(0).normal(size=(500, 32)).astype(np.float32)
    vectors[7, 3] = number
    found = pca_whiten(vectors, 16)
    assert found.shape == (500, 16)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert vectors[7, 3] == np.float32(number), "the argument is unchanged"
