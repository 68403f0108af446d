"""`python -m research.music_detector --music FOLDER --other FOLDER`: fit `music_detection`.

Each folder has one folder per source, for example an unpacked package, with audio files at any depth; files that cannot
be read are skipped. All sources count the same. Prints, for each source, how much of it is taken for music by a detector
that was fitted without it, and writes the weights. Only needed to renew the file, which is part of the repository.

Legend: N files, F features.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression

from content.encoders import audio_decoding
from content.encoders.audio import AudioEncoder
from content.encoders.audio_decoding import FORMATS
from content.encoders.encoder import MediaError
from content.music_detection import MIN_MUSIC_PROBABILITY, WEIGHTS, detection_features

MAX_FILES, MAX_PATCHES = 60, 6  # of a source, of a file
REGULARIZATION = 0.1  # inverse strength, of weights over standardized features


@dataclass(frozen=True)
class Clips:
    """Encoded files."""

    feature_NF: NDArray[np.float64]
    is_music_N: NDArray[np.bool_]
    source_N: NDArray[np.str_]


def fit(clips: Clips) -> tuple[NDArray[np.float64], float]:
    """Weights [F] over features as they are, and the bias."""
    mean_F, deviation_F = clips.feature_NF.mean(0), clips.feature_NF.std(0) + 1e-6
    _, source_N, files_S = np.unique(clips.source_N, return_inverse=True, return_counts=True)
    sources_of_class = {value: len(set(clips.source_N[clips.is_music_N == value])) for value in (False, True)}
    weight_N = 1 / files_S[source_N] / np.array([sources_of_class[bool(value)] for value in clips.is_music_N])
    model = LogisticRegression(C=REGULARIZATION, max_iter=1_000)
    model.fit((clips.feature_NF - mean_F) / deviation_F, clips.is_music_N, sample_weight=weight_N * len(weight_N) / 2)
    weight_F: NDArray[np.float64] = model.coef_[0] / deviation_F
    return weight_F, float(model.intercept_[0] - weight_F @ mean_F)


def left_out_probabilities(clips: Clips) -> NDArray[np.float64]:
    """Probability of being music of each file, by a detector that was fitted without its source, [N]."""
    probability_N = np.zeros(len(clips.source_N))
    for source in np.unique(clips.source_N):
        is_of = clips.source_N == source
        others = Clips(clips.feature_NF[~is_of], clips.is_music_N[~is_of], clips.source_N[~is_of])
        weight_F, bias = fit(others)
        probability_N[is_of] = 1 / (1 + np.exp(-(clips.feature_NF[is_of] @ weight_F + bias)))
    return probability_N


def encode_clips(music: Path, other: Path) -> Clips:
    """At most MAX_FILES files of each source, evenly spaced by name."""
    audio_decoding.MAX_PATCHES = MAX_PATCHES
    encoder = AudioEncoder()
    rows, is_music, sources = [], [], []
    for folder, label in ((music, True), (other, False)):
        for source in sorted(path for path in folder.iterdir() if path.is_dir()):
            for feature_F in _read_features(encoder, source):
                rows.append(feature_F)
                is_music.append(label)
                sources.append(source.name)
    return Clips(np.array(rows), np.array(is_music), np.array(sources))


def _read_features(encoder: AudioEncoder, source: Path) -> Iterator[NDArray[np.float64]]:
    extensions = {extension for extensions in FORMATS.values() for extension in extensions}
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in extensions)
    places = np.unique(np.linspace(0, len(files) - 1, min(len(files), MAX_FILES)).round().astype(int))
    for path in (files[place] for place in places):
        try:
            yield detection_features(*encoder.encode_with_tags([encoder.load(path)]))[0]
        except MediaError as error:
            print(f"skipped: {error}")


def main() -> None:
    """Fit on the folders that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m research.music_detector", description=__doc__)
    parser.add_argument("--music", type=Path, required=True)
    parser.add_argument("--other", type=Path, required=True)
    options = parser.parse_args()
    clips = encode_clips(options.music, options.other)
    probability_N = left_out_probabilities(clips)
    for source in np.unique(clips.source_N):
        is_of = clips.source_N == source
        share = float((probability_N[is_of] >= MIN_MUSIC_PROBABILITY).mean())
        kind = "music" if clips.is_music_N[is_of][0] else "other"
        print(f"{kind} {source}: {share:.0%} of {int(is_of.sum())} files taken for music")
    weight_F, bias = fit(clips)
    tensors = {"weight_F": weight_F.astype(np.float32), "bias": np.array([bias], dtype=np.float32)}
    save_file(tensors, WEIGHTS)
    print(f"written to {WEIGHTS}")


if __name__ == "__main__":
    main()
