"""`make acceptance`: sounds that are no music, and real music.

Music are the Debian packages asc-music, wesnoth-1.18-music and warzone2100-music (`apt-get install`, or unpacked into the
folder SEGUE_ACCEPTANCE_MUSIC), and clips of `../shared/data/audio`. The detector of music was fitted on other recordings.

Legend: N files.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from config import settings
from content.encoders import audio_decoding
from content.encoders.audio import AudioEncoder
from content.music_detection import MIN_MUSIC_PROBABILITY, music_probability
from tests.support.acceptance_plugin import report
from tests.support.tiers import acceptance_only

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
MIN_KEPT = 0.95

pytestmark = [
    acceptance_only,
    pytest.mark.skipif(
        not all((GAMES / folder).is_dir() for folder in ALBUMS.values()),
        reason="no music: install the Debian packages asc-music, wesnoth-1.18-music and warzone2100-music",
    ),
    pytest.mark.skipif(not CLIPS.is_dir(), reason=f"no clips in {CLIPS}"),
    pytest.mark.timeout(3_600),
]


def test_sounds_that_are_no_music_are_rejected() -> None:
    """All tracks and clips, in twice as many patches as usual."""
    encoder = AudioEncoder()
    files = [path for folder in ALBUMS.values() for path in sorted((GAMES / folder).iterdir())]
    files += [path for path in sorted(CLIPS.iterdir()) if path.suffix in (".ogg", ".mp3")]
    files = [path for path in files if path.name != SILENCE]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audio_decoding, "MAX_PATCHES", 2 * audio_decoding.MAX_PATCHES)
        patches = [encoder.encode_with_tags(encoder.load(path).split(1)) for path in files]
    probability_N = music_probability(*(np.array([both[place].mean(0) for both in patches]) for place in (0, 1)))
    is_music_N = np.array([not path.name.startswith(tuple(NOT_MUSIC)) for path in files])
    is_kept_N = probability_N >= MIN_MUSIC_PROBABILITY
    others = np.round(probability_N[~is_music_N].astype(float), 3).tolist()
    kept = round(float(is_kept_N[is_music_N].mean()), 3)
    required = f"other sounds below {MIN_MUSIC_PROBABILITY}, music kept at least {MIN_KEPT}"
    report("audio_not_music", required, {"other": others, "music kept": kept, "of": int(is_music_N.sum())})
    assert len(others) == len(NOT_MUSIC) and not is_kept_N[~is_music_N].any()
    assert kept >= MIN_KEPT
