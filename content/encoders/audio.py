"""Audio as the 200 numbers of MusiCNN's last hidden layer, and its 50 tag probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from content.encoders.audio_decoding import MAX_PATCHES, read_patches
from content.encoders.encoder import Embeddings, Encoder
from content.encoders.musicnn import TAGS, WIDTH, MusicNN, log_mel_patches


class AudioEncoder(Encoder[Path, Tensor]):
    """MusiCNN over patches of 3 seconds; embeddings and probabilities are means over the patches of a file."""

    name = "audio"
    tags = TAGS
    version = f"mtt_musicnn-0.1.0.patches-{MAX_PATCHES}.2"  # increase the last number with the preprocessing

    def __init__(self) -> None:
        """Load the network."""
        self._network = MusicNN.load()

    def load(self, source: Path) -> Tensor:
        """Log-mel patches [P, FRAMES, MEL_BANDS] of an audio file.

        Raises:
            MediaError: the file is broken, incomplete or of a format that is not supported.
        """
        return log_mel_patches(torch.from_numpy(read_patches(source)))

    def encode(self, batch: Sequence[Tensor]) -> Embeddings:
        """Embeddings [B, 200]."""
        return self.encode_with_tags(batch)[0]

    def encode_with_tags(self, batch: Sequence[Tensor]) -> tuple[Embeddings, Embeddings]:
        """Embeddings [B, 200] and the probabilities of `tags` [B, 50]."""
        embedding_BD = np.zeros((len(batch), WIDTH), dtype=np.float32)
        probability_BT = np.zeros((len(batch), len(TAGS)), dtype=np.float32)
        for row, patch_PTM in enumerate(batch):
            embedding_PD, probability_PT = self._network(patch_PTM)
            embedding_BD[row], probability_BT[row] = embedding_PD.mean(0), probability_PT.mean(0)
        return embedding_BD, probability_BT
