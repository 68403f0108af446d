"""MusiCNN, a convolutional network that tags music, for inference in torch, and its log-mel spectrograms.

Pons and Serra, "musicnn: Pre-trained convolutional neural networks for music audio tagging" (arXiv 1909.06654). The
weights are those of `MTT_musicnn` (MagnaTagATune) of the package musicnn 0.1.0 (weights/README.md). Outputs equal those
of the original up to rounding; the computation differs:

- Batch normalization follows the pooling over mel bands. Filters with a negative scale are negated first, because the
  maximum after normalization is then the minimum before it.
- Patches are computed one by one, so that an output does not depend on the other patches of a batch.

Spectrograms are those that it was trained on: 16 kHz, 96 bands, log10(1 + 10,000 x power). The bands are those of librosa
with its defaults: Slaney's mel scale (linear to 1 kHz, logarithmic above) from 0 Hz to half the sample rate, triangles of
equal area.

Legend: B patches, T frames of a patch, M mel bands, P positions of a filter on the mel axis or patches of a file, J frames of
a filter, O filters, C channels, F features, S samples, K frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
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
"""Weights below it are taken as 0. Weight decay shrank those of unused filters to 1e-37, and processors compute with
products that are almost 0 (subnormal numbers) thirty times slower, which silent audio would show."""

Weights = Mapping[str, Tensor]

SAMPLE_RATE = 16_000  # Hz
WINDOW, HOP = 512, 256  # samples
PATCH_SAMPLES = (FRAMES - 1) * HOP + WINDOW  # 3.008 s
PATCH_STRIDE = FRAMES * HOP  # from the first frame of a patch to the first frame of the next one
COMPRESSION = 10_000.0
LINEAR_HZ_PER_MEL, LINEAR_TO_HZ = 200 / 3, 1000.0
LOG_STEP = math.log(6.4) / 27  # 27 mels from 1 kHz to 6.4 kHz


@dataclass(frozen=True)
class Normalization:
    """Batch normalization with fixed statistics: a scale and an offset of each feature."""

    scale_F: Tensor
    offset_F: Tensor

    @classmethod
    def load(cls, weights: Weights, index: int) -> Normalization:
        """The normalization of that number; the original numbers them in the order of the network."""
        name = _numbered("batch_normalization", index)
        scale_F = weights[f"{name}/gamma"] / (weights[f"{name}/moving_variance"] + NORMALIZATION_EPSILON).sqrt()
        return cls(scale_F, weights[f"{name}/beta"] - weights[f"{name}/moving_mean"] * scale_F)

    def __call__(self, feature_F: Tensor) -> Tensor:
        """Normalized features along the last axis."""
        return torch.addcmul(self.offset_F, feature_F, self.scale_F)


@dataclass(frozen=True)
class PooledConvolution:
    """What the convolutions of the front end share: bias, ReLU, maximum over mel bands, batch normalization."""

    bias_O: Tensor
    sign_O: Tensor  # -1 for filters whose normalization has a negative scale
    normalization: Normalization

    @classmethod
    def load(cls, weights: Weights, index: int) -> PooledConvolution:
        """The parts of the front end's convolution of that number, from 0."""
        normalization = Normalization.load(weights, index + 1)
        bias_O = weights[f"{_numbered('conv2d', index)}/bias"]
        return cls(bias_O, torch.where(normalization.scale_F < 0, -1.0, 1.0), normalization)

    def __call__(self, maximum_TO: Tensor) -> Tensor:
        """Features from the maxima of the signed responses, [T, O]."""
        return self.normalization(functional.relu(torch.addcmul(self.bias_O, maximum_TO, self.sign_O)))


@dataclass(frozen=True)
class TimbralConvolution:
    """Filters of 7 frames by 38 or 67 mel bands, at each position on the mel axis, and the maximum over positions."""

    kernel_OCJM: Tensor  # one channel
    pooled: PooledConvolution

    @classmethod
    def load(cls, weights: Weights, index: int) -> TimbralConvolution:
        """The front end's convolution of that number."""
        pooled = PooledConvolution.load(weights, index)
        kernel_JMCO = weights[f"{_numbered('conv2d', index)}/kernel"] * pooled.sign_O
        return cls(kernel_JMCO.permute(3, 2, 0, 1).contiguous(), pooled)

    def __call__(self, mel_TM: Tensor) -> Tensor:
        """Features [T, O] of normalized frames; frames beyond the patch are zeros."""
        response_OTP = functional.conv2d(mel_TM[None, None], self.kernel_OCJM, padding=(3, 0))[0]
        return self.pooled(response_OTP.amax(2).T)


@dataclass(frozen=True)
class TemporalConvolution:
    """Filters of 32 to 128 frames of one mel band, on each band, and the maximum over bands."""

    kernel_OJ: Tensor
    pooled: PooledConvolution

    @classmethod
    def load(cls, weights: Weights, index: int) -> TemporalConvolution:
        """The front end's convolution of that number."""
        pooled = PooledConvolution.load(weights, index)
        kernel_JO = weights[f"{_numbered('conv2d', index)}/kernel"][:, 0, 0] * pooled.sign_O
        return cls(kernel_JO.T.contiguous(), pooled)

    def __call__(self, mel_TM: Tensor) -> Tensor:
        """Features [T, O] of normalized frames."""
        frames = self.kernel_OJ.shape[1]
        before = (frames - 1) // 2  # TensorFlow's padding "same"
        padded_TM = functional.pad(mel_TM, (0, 0, before, frames - 1 - before))
        window_TJM = padded_TM.unfold(0, frames, 1).transpose(1, 2)
        response_TOM = self.kernel_OJ.expand(len(mel_TM), -1, -1) @ window_TJM
        return self.pooled(response_TOM.amax(2))


@dataclass(frozen=True)
class DenseConvolution:
    """A convolution over 7 frames of all features, ReLU and batch normalization."""

    kernel_OFJ: Tensor
    bias_O: Tensor
    normalization: Normalization

    @classmethod
    def load(cls, weights: Weights, index: int) -> DenseConvolution:
        """The convolution of that number, from 0 over the whole network."""
        name = _numbered("conv2d", index)
        kernel_OFJ = weights[f"{name}/kernel"][:, :, 0].permute(2, 1, 0).contiguous()
        return cls(kernel_OFJ, weights[f"{name}/bias"], Normalization.load(weights, index + 1))

    def __call__(self, feature_TF: Tensor) -> Tensor:
        """Features [T, O]; frames beyond the patch are zeros."""
        response_OT = functional.conv1d(feature_TF.T[None], self.kernel_OFJ, self.bias_O, padding=3)[0]
        return self.normalization(functional.relu(response_OT).T)


class MusicNN:
    """The network with its weights. It is not a `torch.nn.Module`, because it is never trained."""

    def __init__(self, weights: Weights) -> None:
        """Prepare the weights of a checkpoint, by the names of its variables."""
        weights = {name: torch.where(value.abs() < TINY, 0.0, value) for name, value in weights.items()}
        self.input_normalization = Normalization.load(weights, 0)
        timbral = [TimbralConvolution.load(weights, index) for index in (0, 1)]
        temporal = [TemporalConvolution.load(weights, index) for index in (2, 3, 4)]
        self.front: list[TimbralConvolution | TemporalConvolution] = [*timbral, *temporal]
        self.dense = [DenseConvolution.load(weights, index) for index in (5, 6, 7)]
        self.pooled_normalization = Normalization.load(weights, 9)
        self.hidden_OF, self.hidden_bias_O = weights["dense/kernel"].T.contiguous(), weights["dense/bias"]
        self.hidden_normalization = Normalization.load(weights, 10)
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
            embedding_BF[index] = self._embed(self.input_normalization(mel_TM))
        # Row by row too: the rounding of a matrix product depends on the number of rows.
        logits = [functional.linear(row_F, self.output_OF, self.output_bias_O) for row_F in embedding_BF]
        return embedding_BF, torch.sigmoid(torch.stack(logits)) if logits else torch.empty(0, len(TAGS))

    def _embed(self, mel_TM: Tensor) -> Tensor:
        front_TF = torch.cat([convolution(mel_TM) for convolution in self.front], dim=1)
        first_TF = self.dense[0](front_TF)
        second_TF = self.dense[1](first_TF) + first_TF
        third_TF = self.dense[2](second_TF) + second_TF
        feature_TF = torch.cat([front_TF, first_TF, second_TF, third_TF], dim=1)
        pooled_F = torch.stack([feature_TF.amax(0), feature_TF.mean(0)], dim=1).flatten()
        hidden_O = functional.linear(self.pooled_normalization(pooled_F), self.hidden_OF, self.hidden_bias_O)
        return self.hidden_normalization(functional.relu(hidden_O))


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
    edge = _mel_to_hz(np.linspace(0, _hz_to_mel(SAMPLE_RATE / 2), MEL_BANDS + 2))
    lower_M1, centre_M1, upper_M1 = edge[:-2, None], edge[1:-1, None], edge[2:, None]
    rising_MK = (frequency_K - lower_M1) / (centre_M1 - lower_M1)
    falling_MK = (upper_M1 - frequency_K) / (upper_M1 - centre_M1)
    triangle_MK = np.maximum(0, np.minimum(rising_MK, falling_MK))
    weight_MK: NDArray[np.float32] = (triangle_MK * 2 / (upper_M1 - lower_M1)).astype(np.float32)
    return weight_MK


def _hz_to_mel(hz: float) -> float:
    """Mels of a frequency above LINEAR_TO_HZ."""
    return LINEAR_TO_HZ / LINEAR_HZ_PER_MEL + math.log(hz / LINEAR_TO_HZ) / LOG_STEP


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear_to = LINEAR_TO_HZ / LINEAR_HZ_PER_MEL
    logarithmic = LINEAR_TO_HZ * np.exp(LOG_STEP * (mel - linear_to))
    return np.where(mel < linear_to, mel * LINEAR_HZ_PER_MEL, logarithmic)
