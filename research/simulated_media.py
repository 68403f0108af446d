"""`python -m research.simulated_media --tracks 300`: what the encoders find in simulated previews and covers.

For each modality, the share of tracks whose nearest neighbor (cosine of centered embeddings) has the same style, language,
mood or artist, against chance. For all but the artist, neighbors are of other artists, so that an artist's own sound does
not count. Not part of `make bench`, which measures speed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from ingestion.simulation.catalog_rows import describe_tracks
from ingestion.simulation.world import World
from media.cover import encode_jpeg, render_cover
from media.preview import encode_opus, render_preview
from media.style_table import mood
from media.track_description import TrackDescription
from training.encode_content import ENCODERS

TRACKS_PER_ARTIST = 5
WORLD_TRACKS = 8_000
RENDERERS: dict[str, tuple[str, Callable[[TrackDescription], bytes]]] = {
    "audio": (".ogg", lambda track: encode_opus(render_preview(track))),
    "image": (".jpg", lambda track: encode_jpeg(render_cover(track))),
}


@dataclass(frozen=True)
class Separation:
    """Share of tracks whose nearest neighbor has the same value, and the share among random pairs."""

    nearest: float
    chance: float


def sample_tracks(tracks: int, seed: int) -> list[TrackDescription]:
    """TRACKS_PER_ARTIST tracks of each of some artists of a simulated world."""
    world = World(WORLD_TRACKS, 10, seed)
    described = list(describe_tracks(world, [""] * world.tracks, seed).values())
    random = np.random.default_rng(seed)
    counts = np.bincount(world.artist_V)
    artists = random.permutation(np.flatnonzero(counts >= TRACKS_PER_ARTIST))[: max(tracks // TRACKS_PER_ARTIST, 2)]
    chosen = [random.choice(np.flatnonzero(world.artist_V == a), TRACKS_PER_ARTIST, replace=False) for a in artists]
    return [described[track] for track in np.concatenate(chosen)]


def embed(modality: str, tracks: list[TrackDescription]) -> tuple[NDArray[np.float32], float]:
    """Embeddings [B, D] of rendered media, and the milliseconds that rendering one took."""
    suffix, render = RENDERERS[modality]
    encoder = ENCODERS[modality]()
    rows, seconds = [], 0.0
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"media{suffix}"
        for track in tracks:
            start = time.process_time()
            file.write_bytes(render(track))
            seconds += time.process_time() - start
            rows.append(encoder.encode([encoder.load(file)])[0])
    return np.stack(rows), 1000 * seconds / len(tracks)


def measure(embedding_BD: NDArray[np.float32], tracks: list[TrackDescription]) -> dict[str, Separation]:
    """How well nearest neighbors agree in each facet."""
    centered_BD = embedding_BD - embedding_BD.mean(0)
    centered_BD /= np.linalg.norm(centered_BD, axis=1, keepdims=True)
    similarity_BB = centered_BD @ centered_BD.T
    np.fill_diagonal(similarity_BB, -np.inf)
    artist_B = np.array([track.artist for track in tracks])
    is_other_BB = artist_B[:, None] != artist_B
    same_song_BB = np.array([[a.recording == b.recording for b in tracks] for a in tracks])
    np.copyto(similarity_BB, -np.inf, where=same_song_BB)
    facets = {
        "style": np.array([track.style for track in tracks]),
        "language": np.array([track.language for track in tracks]),
        "interest": np.array([f"{track.language} {track.style}" for track in tracks]),
        "energy": np.array([np.sign(mood(track.emotions)[1]) for track in tracks]),
        "valence": np.array([np.sign(mood(track.emotions)[0]) for track in tracks]),
    }
    found = {
        name: _agree(np.where(is_other_BB, similarity_BB, -np.inf), value_B, is_other_BB)
        for name, value_B in facets.items()
    }
    found["artist"] = _agree(similarity_BB, artist_B, ~np.eye(len(tracks), dtype=bool))
    own_style_BB = (artist_B[:, None] == artist_B) & (facets["style"][:, None] != facets["style"])
    found["artist in another style"] = _agree(
        np.where(own_style_BB | is_other_BB, similarity_BB, -np.inf), artist_B, own_style_BB | is_other_BB
    )
    return found


def _agree(
    similarity_BB: NDArray[np.float32], value_B: NDArray[np.generic], is_allowed_BB: NDArray[np.bool_]
) -> Separation:
    is_same_BB = value_B[:, None] == value_B
    nearest_B = similarity_BB.argmax(1)
    can_B = (is_same_BB & is_allowed_BB).any(1)  # tracks whose value no other track has cannot be found
    return Separation(
        nearest=float((value_B[nearest_B] == value_B)[can_B].mean()) if can_B.any() else float("nan"),
        chance=float(is_same_BB[can_B][is_allowed_BB[can_B]].mean()) if can_B.any() else float("nan"),
    )


def main() -> None:
    """Print the results as JSON."""
    parser = argparse.ArgumentParser(prog="python -m research.simulated_media", description=__doc__)
    parser.add_argument("--tracks", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--modality", choices=list(RENDERERS), action="append")
    options = parser.parse_args()
    tracks = sample_tracks(options.tracks, options.seed)
    for modality in options.modality or RENDERERS:
        embedding_BD, milliseconds = embed(modality, tracks)
        found = {name: asdict(one) for name, one in measure(embedding_BD, tracks).items()}
        print(json.dumps({"modality": modality, "tracks": len(tracks), "ms_per_file": round(milliseconds, 1)}))
        for name, one in found.items():
            print(f"  {name:24s} nearest {one['nearest']:.3f}  chance {one['chance']:.3f}")


if __name__ == "__main__":
    main()
