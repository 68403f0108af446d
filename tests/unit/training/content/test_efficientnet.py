"""The network with folded normalization against the package's own."""

import torch

from training.content.encoders.image import SIZE, WIDTH, load_network, load_original


def test_outputs_equal_those_of_the_package() -> None:
    torch.manual_seed(0)
    input_BCHW = torch.rand(1, 3, SIZE, SIZE) * 2 - 1
    with torch.inference_mode():
        expected, actual = load_original().extract_features(input_BCHW), load_network().extract_features(input_BCHW)
    assert actual.shape[:2] == (1, WIDTH)
    assert expected.amax() > 1
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-3)
