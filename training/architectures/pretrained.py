"""A discriminator with an encoder pretrained on ImageNet: it recognises objects before it learns their colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from training.architectures.encoders import ColourResNet18Encoder
from training.cielab_torch import lab_to_rgb

_WIDTH = 96


class PretrainedDiscriminator(nn.Module):
    """L* (N, 1, H, W), 0..100, and ab (N, 2, h, w) to logits (N, 3 H W / 256): positive means true.

    After Sauer et al. 2021 (Projected GANs Converge Faster), section 3: an encoder pretrained on ImageNet sees the
    pictures, and a small discriminator classifies each scale of its features. Here the encoder is ResNet-18 up to
    layer3, which sees sRGB; the scales are strides 4, 8 and 16; nothing is mixed across channels or scales; the
    convolutions of the small discriminators are spectrally normalised (Miyato et al. 2018); and the encoder may be
    trained too, except for its batch normalisation's statistics. H and W are multiples of 16; ab is upsampled to them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = ColourResNet18Encoder().eval()
        self.judges = nn.ModuleList(
            nn.Sequential(
                spectral_norm(nn.Conv2d(inputs, _WIDTH, 3, padding=1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1)),
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(_WIDTH, 1, 1)),
            )
            for inputs in (64, 128, 256)
        )

    def train(self, mode: bool = True) -> Self:
        """Set the mode of everything except the encoder, which keeps ImageNet's statistics for its normalisation."""
        super().train(mode)
        self.encoder.eval()
        return self

    def load_imagenet(self, weights: Mapping[str, Tensor]) -> tuple[str, ...]:
        """Load the encoder's weights; see `ColourResNet18Encoder.load_imagenet`."""
        return self.encoder.load_imagenet(weights)

    def forward(self, lightness: Tensor, ab: Tensor) -> Tensor:
        """Return the logits of all scales, the same number for each, so that all weigh the same in their mean."""
        ab = F.interpolate(ab, size=lightness.shape[2:], mode="bilinear", align_corners=False)
        _, *features = self.encoder(lab_to_rgb(torch.cat([lightness, ab], dim=1)))
        logits = [judge(seen) for judge, seen in zip(self.judges, features, strict=True)]
        return torch.cat([F.adaptive_avg_pool2d(one, logits[-1].shape[2:]).flatten(1) for one in logits], dim=1)
