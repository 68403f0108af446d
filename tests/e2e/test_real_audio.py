"""`make acceptance`: audio vectors of real music, and sounds that are no music.

Music are the Debian packages asc-music, wesnoth-1.18-music and warzone2100-music (`apt-get install`, or unpacked into the
folder SEGUE_ACCEPTANCE_MUSIC), and clips of `../shared/data/audio`. The detector of music was fitted on other recordings.

Legend: N tracks, D width.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from config import settings
from tests.support.acceptance_plugin import report
from tests.support.tiers import acceptance_only
from training.content.encoders.audio import MAX_PATCHES, AudioEncoder
from training.content.music_detection import MIN_MUSIC_PROBABILITY, music_probability

GAMES = Path(os.environ.get("SEGUE_ACCEPTANCE_MUSIC") or "/usr/share/games")
CLIPS = settings.ROOT.parent / "shared" / "data" / "audio"
ALBUMS = {
    "asc": "asc/music",
    "wesnoth": "wesnoth/1.18/data/core/music",
    **{
        f"warzone {name}": f"warzone2100/music/albums/{name}_soundtrack" for name in ("original", "legacy", "aftermath")
    },
}
NOT_MUSIC = {"198-209-0000": "speech", "glacier-bay-humpback": "whale", "pibble": "dog", "456440": "robin"}
SILENCE = "silence.ogg"  # a track of wesnoth without sound
MIN_MUTUAL, MIN_ALBUM_LIFT, MIN_KEPT, K = 0.95, 3.0, 0.95, 10

pytestmark = [
    acceptance_only,
    pytest.mark.skipif(
        not all((GAMES / folder).is_dir() for folder in ALBUMS.values()),
        reason="no music: install the Debian packages asc-music, wesnoth-1.18-music and warzone2100-music",
    ),
    pytest.mark.skipif(not CLIPS.is_dir(), reason=f"no clips in {CLIPS}"),
    pytest.mark.timeout(3_600),
]

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class EncodedAudio:
    """Vectors of N files; those of parts are zeros for files that are too short."""

    album_N: NDArray[np.str_]  # empty: a clip
    is_music_N: NDArray[np.bool_]
    music_probability_N: Rows
    vector_ND: Rows
    parts_N2D: Mapping[str, Rows]  # name of a division → both parts
    is_long_N: NDArray[np.bool_]  # has parts

    def centered(self, vector_ND: Rows) -> Rows:
        """Unit vectors after subtracting the mean of all music."""
        centered_ND = vector_ND - self.vector_ND[self.is_music_N].mean(0)
        unit_ND: Rows = centered_ND / np.linalg.norm(centered_ND, axis=-1, keepdims=True)
        return unit_ND


@pytest.fixture(scope="module")
def audio() -> EncodedAudio:
    """All tracks and clips, in twice as many patches as usual, so that both halves have enough."""
    encoder = AudioEncoder(2 * MAX_PATCHES)
    files = [(album, path) for album, folder in ALBUMS.items() for path in sorted((GAMES / folder).iterdir())]
    files += [("", path) for path in sorted(CLIPS.iterdir()) if path.suffix in (".ogg", ".mp3")]
    files = [(album, path) for album, path in files if path.name != SILENCE]
    patches = [encoder.encode_with_tags(encoder.load(path).split(1)) for _, path in files]
    return of_patches(files, patches)


def of_patches(files: Sequence[tuple[str, Path]], patches: Sequence[tuple[Rows, Rows]]) -> EncodedAudio:
    """Vectors of files (album and path) from the embeddings and tag probabilities of their patches.

    A file's vector is the mean of its patches, so that of a part is the mean of some of them.
    """
    is_long_N = np.array([len(embedding_PD) >= 4 for embedding_PD, _ in patches])
    divisions: dict[str, Callable[[int], NDArray[np.int64]]] = {
        "alternate patches": lambda count: np.arange(count) % 2,
        "first and second half": lambda count: (np.arange(count) >= count // 2).astype(int),
    }
    parts = {}
    for name, division in divisions.items():
        part_N2D = np.zeros((len(files), 2, patches[0][0].shape[1]), dtype=np.float32)
        for row in np.flatnonzero(is_long_N):
            part_P = division(len(patches[row][0]))
            part_N2D[row] = [patches[row][0][part_P == part].mean(0) for part in (0, 1)]
        parts[name] = part_N2D
    vector_ND, tags_NT = (np.array([both[place].mean(0) for both in patches]) for place in (0, 1))
    return EncodedAudio(
        np.array([album for album, _ in files]),
        np.array([not path.name.startswith(tuple(NOT_MUSIC)) for _, path in files]),
        music_probability(vector_ND, tags_NT),
        vector_ND,
        parts,
        is_long_N,
    )


def _mutual_share(part_N2D: Rows) -> float:
    """Share of tracks whose two parts are nearest neighbors of each other among the parts of all tracks."""
    part_MD = part_N2D.reshape(-1, part_N2D.shape[-1])
    cosine_MM = part_MD @ part_MD.T
    np.fill_diagonal(cosine_MM, -np.inf)
    is_mate_N2 = (cosine_MM.argmax(1) == np.arange(len(part_MD)) ^ 1).reshape(-1, 2)
    return float(is_mate_N2.all(1).mean())


def test_two_samples_of_a_track_are_mutual_nearest_neighbors(audio: EncodedAudio) -> None:
    rows_N = audio.is_music_N & audio.is_long_N
    shares = {
        name: round(_mutual_share(audio.centered(part_N2D[rows_N])), 3) for name, part_N2D in audio.parts_N2D.items()
    }
    report("audio_mutual_neighbors", f"alternate patches at least {MIN_MUTUAL}, {rows_N.sum()} tracks", shares)
    assert shares["alternate patches"] >= MIN_MUTUAL


def test_tracks_of_an_album_are_near(audio: EncodedAudio) -> None:
    album_N, vector_ND = audio.album_N[audio.is_music_N], audio.centered(audio.vector_ND[audio.is_music_N])
    cosine_NN = vector_ND @ vector_ND.T
    np.fill_diagonal(cosine_NN, -np.inf)
    nearest_NK = np.argsort(-cosine_NN, axis=1)[:, :K]
    share_N = (album_N[nearest_NK] == album_N[:, None]).mean(1)
    chance_N = np.array([(np.sum(album_N == album) - 1) / (len(album_N) - 1) for album in album_N])
    lift = {
        album: round(float(share_N[album_N == album].mean() / chance_N[album_N == album].mean()), 2) for album in ALBUMS
    }
    mean = round(float(np.mean(list(lift.values()))), 2)
    # One album is half of the tracks, so it cannot be three times as frequent as by chance.
    over_tracks = round(float(share_N[album_N != ""].mean() / chance_N[album_N != ""].mean()), 2)
    measured = lift | {"mean": mean, "over tracks": over_tracks}
    report("audio_album_lift", f"mean over albums at least {MIN_ALBUM_LIFT} x chance", measured)
    assert mean >= MIN_ALBUM_LIFT


def test_sounds_that_are_no_music_are_rejected(audio: EncodedAudio) -> None:
    is_kept_N = audio.music_probability_N >= MIN_MUSIC_PROBABILITY
    others = np.round(audio.music_probability_N[~audio.is_music_N].astype(float), 3).tolist()
    kept = round(float(is_kept_N[audio.is_music_N].mean()), 3)
    required = f"other sounds below {MIN_MUSIC_PROBABILITY}, music kept at least {MIN_KEPT}"
    report("audio_not_music", required, {"other": others, "music kept": kept, "of": int(audio.is_music_N.sum())})
    assert len(others) == len(NOT_MUSIC) and not is_kept_N[~audio.is_music_N].any()
    assert kept >= MIN_KEPT
