"""MusiCNN, a convolutional network that tags music, for inference in torch, and its log-mel spectrograms.

Pons and Serra, "musicnn: Pre-trained convolutional neural networks for music audio tagging" (arXiv 1909.06654). The
weights of `MTT_musicnn` (MagnaTagATune) come from the package musicnn 0.1.0 (weights/README.md). Outputs equal the
original outputs up to rounding; the computation differs:

- Batch normalization follows the pooling over mel bands. Filters with a negative scale are negated first, because the
  maximum after normalization is then the minimum before it.
- Patches are computed one by one, so that an output does not depend on the other patches of a batch.

Spectrograms are as in its training: 16 kHz, 96 bands, log10(1 + 10,000 x power). The bands are as in librosa
with its defaults: Slaney's mel scale (linear to 1 kHz, logarithmic above) from 0 Hz to half the sample rate, triangles of
equal area.

Legend: B patches, T frames of a patch, M mel bands, P positions of a filter on the mel axis or patches of a file, J frames of
a filter, O filters, C channels, F features, S samples, K frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

FRAMES, MEL_BANDS = 187, 96
WIDTH = 200
TAGS = (
    *("guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient"),
    *("beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals"),
    *("harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo"),
    *("man", "classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello"),
    *("no voice", "weird", "country", "metal", "female voice", "choral"),
)
"""MagnaTagATune's 50 most frequent tags, in the order of the outputs."""

WEIGHTS = Path(__file__).parent / "weights" / "mtt_musicnn.safetensors"
NORMALIZATION_EPSILON = 1e-3  # of tf.layers.batch_normalization
TINY = 1e-15
"""Smaller weights are set to 0. Weight decay shrank the weights of unused filters to 1e-37, and processors are thirty
times slower with such (subnormal) products, as silent audio would show."""

Weights = Mapping[str, Tensor]

SAMPLE_RATE = 16_000  # Hz
WINDOW, HOP = 512, 256  # samples
PATCH_SAMPLES = (FRAMES - 1) * HOP + WINDOW  # 3.008 s
PATCH_STRIDE = FRAMES * HOP  # from the first frame of a patch to the first frame of the next one
COMPRESSION = 10_000.0
LINEAR_HZ_PER_MEL, LINEAR_TO_HZ = 200 / 3, 1000.0
LOG_STEP = math.log(6.4) / 27  # 27 mels from 1 kHz to 6.4 kHz


class MusicNN:
    """The network with its weights. It is not a `torch.nn.Module`, because it is never trained.

    Normalization 0 is applied to the input, 1 to 8 follow the convolutions, 9 the pooling over time, and 10 the dense layer.
    Convolutions 0 and 1 have filters of 7 frames by 38 or 67 mel bands (timbre), 2 to 4 of 32 to 128 frames of one band
    (rhythm), and 5 to 7 of 7 frames of all features.
    """

    def __init__(self, weights: Weights) -> None:
        """Prepare the weights of a checkpoint, by the names of its variables."""
        weights = {name: torch.where(value.abs() < TINY, 0.0, value) for name, value in weights.items()}
        self.normalizations = [_normalization(weights, index) for index in range(11)]
        # Filters whose normalization has a negative scale are negated.
        self.signs = [torch.where(scale_O < 0, -1.0, 1.0) for scale_O, _ in self.normalizations[1:6]]
        self.biases = [weights[f"{_numbered('conv2d', index)}/bias"] for index in range(8)]
        kernels = [weights[f"{_numbered('conv2d', index)}/kernel"] for index in range(8)]
        self.timbral_OCJM = [(kernels[index] * self.signs[index]).permute(3, 2, 0, 1).contiguous() for index in (0, 1)]
        self.temporal_OJ = [(kernels[index][:, 0, 0] * self.signs[index]).T.contiguous() for index in (2, 3, 4)]
        self.dense_OFJ = [kernel[:, :, 0].permute(2, 1, 0).contiguous() for kernel in kernels[5:]]
        self.hidden_OF, self.hidden_bias_O = weights["dense/kernel"].T.contiguous(), weights["dense/bias"]
        self.output_OF, self.output_bias_O = weights["dense_1/kernel"].T.contiguous(), weights["dense_1/bias"]

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> MusicNN:
        """The network with the weights in the file."""
        return cls(load_file(path))

    @torch.inference_mode()
    def __call__(self, mel_BTM: Tensor) -> tuple[Tensor, Tensor]:
        """Embedding [B, WIDTH] and tag probabilities [B, len(TAGS)] of log-mel patches [B, FRAMES, MEL_BANDS]."""
        embedding_BF = torch.empty(len(mel_BTM), WIDTH)
        for index, mel_TM in enumerate(mel_BTM):
            embedding_BF[index] = self._embed(self._normalize(0, mel_TM))
        # Row by row too: the rounding of a matrix product depends on the number of rows.
        logits = [functional.linear(row_F, self.output_OF, self.output_bias_O) for row_F in embedding_BF]
        return embedding_BF, torch.sigmoid(torch.stack(logits)) if logits else torch.empty(0, len(TAGS))

    def _embed(self, mel_TM: Tensor) -> Tensor:
        front_TF = torch.cat([*self._timbral_features(mel_TM), *self._temporal_features(mel_TM)], dim=1)
        first_TF = self._convolve(0, front_TF)
        second_TF = self._convolve(1, first_TF) + first_TF
        third_TF = self._convolve(2, second_TF) + second_TF
        feature_TF = torch.cat([front_TF, first_TF, second_TF, third_TF], dim=1)
        pooled_F = torch.stack([feature_TF.amax(0), feature_TF.mean(0)], dim=1).flatten()
        hidden_O = functional.linear(self._normalize(9, pooled_F), self.hidden_OF, self.hidden_bias_O)
        return self._normalize(10, functional.relu(hidden_O))

    def _normalize(self, index: int, feature_F: Tensor) -> Tensor:
        """Normalized features along the last axis."""
        scale_F, offset_F = self.normalizations[index]
        return torch.addcmul(offset_F, feature_F, scale_F)

    def _activate(self, index: int, maximum_TO: Tensor) -> Tensor:
        """Features [T, O] from the maxima of the signed responses: bias, ReLU, batch normalization."""
        response_TO = torch.addcmul(self.biases[index], maximum_TO, self.signs[index])
        return self._normalize(index + 1, functional.relu(response_TO))

    def _timbral_features(self, mel_TM: Tensor) -> Iterator[Tensor]:
        """The maximum over positions on the mel axis; frames beyond the patch are zeros."""
        for index, kernel_OCJM in enumerate(self.timbral_OCJM):
            response_OTP = functional.conv2d(mel_TM[None, None], kernel_OCJM, padding=(3, 0))[0]
            yield self._activate(index, response_OTP.amax(2).T)

    def _temporal_features(self, mel_TM: Tensor) -> Iterator[Tensor]:
        """The maximum over mel bands."""
        for index, kernel_OJ in enumerate(self.temporal_OJ, start=2):
            frames = kernel_OJ.shape[1]
            before = (frames - 1) // 2  # TensorFlow's padding "same"
            padded_TM = functional.pad(mel_TM, (0, 0, before, frames - 1 - before))
            window_TJM = padded_TM.unfold(0, frames, 1).transpose(1, 2)
            yield self._activate(index, (kernel_OJ.expand(len(mel_TM), -1, -1) @ window_TJM).amax(2))

    def _convolve(self, index: int, feature_TF: Tensor) -> Tensor:
        """Features [T, O]; frames beyond the patch are zeros."""
        response_OT = functional.conv1d(feature_TF.T[None], self.dense_OFJ[index], self.biases[5 + index], padding=3)[0]
        return self._normalize(6 + index, functional.relu(response_OT).T)


def _normalization(weights: Weights, index: int) -> tuple[Tensor, Tensor]:
    """Scale and offset of each feature; the original numbers normalizations in the order of the network."""
    name = _numbered("batch_normalization", index)
    scale_F = weights[f"{name}/gamma"] / (weights[f"{name}/moving_variance"] + NORMALIZATION_EPSILON).sqrt()
    return scale_F, weights[f"{name}/beta"] - weights[f"{name}/moving_mean"] * scale_F


def _numbered(name: str, index: int) -> str:
    return f"{name}_{index}" if index else name


def log_mel_patches(sample_PS: Tensor) -> Tensor:
    """Log-mel spectrograms [P, FRAMES, MEL_BANDS] of patches of PATCH_SAMPLES samples in [-1, 1]."""
    spectrum_PKT = torch.stft(
        sample_PS, WINDOW, HOP, window=torch.hann_window(WINDOW), center=False, return_complex=True
    )
    power_PKT = spectrum_PKT.real.square() + spectrum_PKT.imag.square()
    band_MK = torch.from_numpy(mel_bands())
    # Patch by patch, so that a patch is rounded in the same way in every batch.
    mel_PMT = torch.stack([band_MK @ power_KT for power_KT in power_PKT])
    return torch.log10(1 + COMPRESSION * mel_PMT).transpose(1, 2).contiguous()


def mel_bands() -> NDArray[np.float32]:
    """Weights of the frequencies in each band, [M, K]."""
    frequency_K = np.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    highest = LINEAR_TO_HZ / LINEAR_HZ_PER_MEL + math.log(SAMPLE_RATE / 2 / LINEAR_TO_HZ) / LOG_STEP  # mels
    edge = _mel_to_hz(np.linspace(0, highest, MEL_BANDS + 2))
    lower_M1, centre_M1, upper_M1 = edge[:-2, None], edge[1:-1, None], edge[2:, None]
    rising_MK = (frequency_K - lower_M1) / (centre_M1 - lower_M1)
    falling_MK = (upper_M1 - frequency_K) / (upper_M1 - centre_M1)
    triangle_MK = np.maximum(0, np.minimum(rising_MK, falling_MK))
    return (triangle_MK * 2 / (upper_M1 - lower_M1)).astype(np.float32)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear_to = LINEAR_TO_HZ / LINEAR_HZ_PER_MEL
    logarithmic = LINEAR_TO_HZ * np.exp(LOG_STEP * (mel - linear_to))
    return np.where(mel < linear_to, mel * LINEAR_HZ_PER_MEL, logarithmic)
