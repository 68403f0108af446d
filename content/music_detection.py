"""How probably audio is music, from its embedding and tags: speech and other sounds are no tracks to compare or describe.

A logistic regression over the embedding of `AudioEncoder` and the log-odds of its tags; `research/music_detector.py` fits it.
Legend: N tracks, D width of embeddings, T tags, F features.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors.numpy import load_file

from config import settings
from storage import mart_tables

WEIGHTS = Path(__file__).parent / "encoders" / "weights" / "music_detector.safetensors"
MIN_MUSIC_PROBABILITY = 0.5
"""Audio below is not music: its tags fill no facets, models do not read its embedding, and it is not recommended."""
MIN_TAG_PROBABILITY = 1e-4


def detection_features(embedding_ND: NDArray[np.float32], tags_NT: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the detector reads of embeddings and tag probabilities: the embedding and the log-odds of the tags, [N, F]."""
    tags_NT = tags_NT.astype(np.float64).clip(MIN_TAG_PROBABILITY, 1 - MIN_TAG_PROBABILITY)
    return np.concatenate([embedding_ND, np.log(tags_NT / (1 - tags_NT))], axis=1)


def music_probability(embedding_ND: NDArray[np.float32], tags_NT: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probability of being music of each embedding of `AudioEncoder` with its tag probabilities, [N]."""
    weight_F, bias = _weights()
    logit_N = detection_features(embedding_ND, tags_NT) @ weight_F + bias
    return (1 / (1 + np.exp(-logit_N))).astype(np.float32)


def mark_music(tracks: pl.DataFrame, marts: Path, plays: pl.LazyFrame) -> pl.DataFrame:
    """The tracks with a column `is_music`: false if their audio is not music or `find_unheard` has them.

    It is true for all with SEGUE_OTHER_SOUNDS.
    """
    file = mart_tables.table_file(marts, "audio")
    if settings.load_settings().other_sounds or not file.exists():
        return tracks.with_columns(is_music=pl.lit(True))
    others = [*find_other_sounds(file)["track_id"], *find_unheard(tracks, file, plays)]
    return tracks.with_columns(is_music=~pl.col("track_id").is_in(others))


def find_unheard(tracks: pl.DataFrame, file: Path, plays: pl.LazyFrame) -> list[str]:
    """Ids of files of music folders that are not encoded yet and that nobody has listened to: they may be any sound.

    None before any audio is known to be music, since there would be nothing to recommend.

    Args:
        tracks: Rows of the mart `tracks`.
        file: Table `track_content` of audio.
        plays: Rows of the mart `plays` that are known.
    """
    if "is_from_music_folder" not in tracks.columns or scan_music(file).select(pl.len()).collect().item() == 0:
        return []
    is_file = pl.col("is_from_music_folder") & pl.col("audio_path").is_not_null()
    files = tracks.lazy().filter(is_file).select("track_id")
    listened = plays.filter("is_listened").select("track_id")
    unheard = files.join(pl.scan_parquet(file), on="track_id", how="anti").join(listened, on="track_id", how="anti")
    return unheard.collect()["track_id"].to_list()


def find_other_sounds(file: Path) -> pl.DataFrame:
    """`track_id` and `music_probability` of the rows of a table `track_content` whose audio is not music."""
    content = pl.scan_parquet(file)
    is_other = pl.col("music_probability") < MIN_MUSIC_PROBABILITY
    return content.filter(is_other).select("track_id", "music_probability").collect()


def scan_music(file: Path) -> pl.LazyFrame:
    """The rows of a table `track_content` without audio that is not music.

    Rows of other encoders have no probability and are kept.
    """
    return pl.scan_parquet(file).filter(pl.col("music_probability").fill_null(1.0) >= MIN_MUSIC_PROBABILITY)


@cache
def _weights() -> tuple[NDArray[np.float64], float]:
    tensors = load_file(WEIGHTS)
    return tensors["weight_F"].astype(np.float64), float(tensors["bias"][0])
