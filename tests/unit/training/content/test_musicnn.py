"""The network against the layers of the original, computed plainly in double precision."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from training.content.encoders.musicnn import FRAMES, MEL_BANDS, WEIGHTS, MusicNN, Weights


@pytest.fixture(scope="module")
def network() -> MusicNN:
    """The network."""
    return MusicNN.load()


def numbered(name: str, index: int) -> str:
    return f"{name}_{index}" if index else name


def normalize(feature: Tensor, weights: Weights, index: int) -> Tensor:
    name = numbered("batch_normalization", index)
    centered = feature - weights[f"{name}/moving_mean"]
    scaled = centered / (weights[f"{name}/moving_variance"] + 1e-3).sqrt()
    return scaled * weights[f"{name}/gamma"] + weights[f"{name}/beta"]


def original(mel_BTM: Tensor) -> tuple[Tensor, Tensor]:
    """`build_musicnn` of the package, layer by layer."""
    weights = {name: value.double() for name, value in load_file(WEIGHTS).items()}
    input_BCTM = normalize(mel_BTM.double()[..., None], weights, 0).permute(0, 3, 1, 2)
    front = []
    for index in range(5):
        kernel = weights[f"{numbered('conv2d', index)}/kernel"].permute(3, 2, 0, 1)
        frames = kernel.shape[2]
        padded = functional.pad(input_BCTM, (0, 0, (frames - 1) // 2, frames - 1 - (frames - 1) // 2))
        response = functional.conv2d(padded, kernel, weights[f"{numbered('conv2d', index)}/bias"])
        front.append(normalize(functional.relu(response).permute(0, 2, 3, 1), weights, index + 1).amax(2))
    layers = [torch.cat(front, 2)]
    for index in (5, 6, 7):
        kernel = weights[f"conv2d_{index}/kernel"].permute(3, 2, 0, 1)
        padded = functional.pad(layers[-1][:, None], (0, 0, 3, 3))
        response = functional.conv2d(padded, kernel, weights[f"conv2d_{index}/bias"])[..., 0].transpose(1, 2)
        output = normalize(functional.relu(response), weights, index + 1)
        layers.append(output + layers[-1] if index > 5 else output)
    features = torch.cat(layers, 2)
    pooled = normalize(torch.stack([features.amax(1), features.mean(1)], 2).flatten(1), weights, 9)
    hidden = functional.relu(pooled @ weights["dense/kernel"] + weights["dense/bias"])
    embedding = normalize(hidden, weights, 10)
    return embedding, torch.sigmoid(embedding @ weights["dense_1/kernel"] + weights["dense_1/bias"])


def test_outputs_equal_the_original(network: MusicNN) -> None:
    torch.manual_seed(0)
    mel_BTM = torch.rand(2, FRAMES, MEL_BANDS) * torch.tensor([4.0, 1.0])[:, None, None]
    for actual, expected in zip(network(mel_BTM), original(mel_BTM), strict=True):
        torch.testing.assert_close(actual.double(), expected, rtol=0, atol=1e-5)
