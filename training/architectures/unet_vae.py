"""The hybrid of U-Net and variational autoencoder: skips carry the detail, a Gaussian latent the scene."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.architectures.blocks import at_fixed_size, start_for_relu

SIDE = 150
"""Height and width of its input and output."""

_WIDTH = 64
_LATENT = 128
_LOG_VARIANCE = 10.0


class UNetVAE(nn.Module):
    """L* (N, 1, H, W), 0..100, to sRGB (N, 3, H, W), 0..1; both are resized to and from 150 x 150, bilinearly.

    Built from a list of its maps; no published description was found. The list, of three levels: 64 x 74 x 74, 64 x 36
    x 36, 64 x 17 x 17 (kernel 4, stride 2), a variational middle, and 128 x 17 x 17, 64 x 38 x 38, 64 x 80 x 80, 64 x
    164 x 164 (transposed, kernel 6, stride 2), 3 x 150 x 150, nothing padded; skips are interpolated to the size that
    they join. The variant that it calls the good one has four levels of kernel 3. The middle is a map of normal
    variables with the standard normal as prior (Kingma and Welling 2013).

    What the list leaves open is ours: means and variances by 1 x 1 convolutions, a last convolution of 15 x 15 (its 164
    minus 150) or, in the four-level variant, whose last map is 143 x 143, a transposed one of 8 x 8; ReLU, sigmoid at
    the end. The encoder sees only grey, in training too, so nothing is missing when there is no colour.
    """

    def __init__(self, *, levels: int = 3, down: int = 4, up: int = 6) -> None:
        """Use ``levels`` halvings by kernels of ``down`` pixels, and as many doublings by kernels of ``up``."""
        super().__init__()
        widths = [1, *[_WIDTH] * levels]
        self.down = nn.ModuleList(nn.Conv2d(a, b, down, 2) for a, b in pairwise(widths))
        self.mean = nn.Conv2d(_WIDTH, _LATENT, 1)
        self.log_variance = nn.Conv2d(_WIDTH, _LATENT, 1)
        inputs = [_LATENT, *[2 * _WIDTH] * (levels - 1)]
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, _WIDTH, up, 2) for a in inputs)
        side = last_map(levels=levels, down=down, up=up)
        self.last: nn.Module
        if side >= SIDE:
            self.last = nn.Conv2d(_WIDTH, 3, side - SIDE + 1)
        else:
            self.last = nn.ConvTranspose2d(_WIDTH, 3, SIDE - side + 1)
        self.apply(start_for_relu)
        # Variances start at 1: random ones, from unnormalised features, are too large for a picture to be learnt.
        for parameter in self.log_variance.parameters():
            nn.init.zeros_(parameter)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return the picture for the latent's mean, which is deterministic."""
        return at_fixed_size(self._likeliest, lightness, SIDE)

    def with_divergence(self, lightness: Tensor) -> tuple[Tensor, Tensor]:
        """Return the picture for a latent drawn from torch's global generator, and its divergence from the prior.

        The Kullback-Leibler divergence is in nats, summed over the latent's channels and averaged over positions and
        batch (Kingma and Welling 2013, appendix B).
        """
        divergences: list[Tensor] = []

        def drawn(seen: Tensor) -> Tensor:
            *skips, bottom = self._encode(seen)
            mean = self.mean(bottom).float()
            log_variance = self.log_variance(bottom).float().clamp(-_LOG_VARIANCE, _LOG_VARIANCE)
            latent = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
            divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
            divergences.append(divergence.sum(dim=1).mean())
            return self._decode(latent, skips)

        picture = at_fixed_size(drawn, lightness, SIDE)
        return picture, divergences[0]

    def _likeliest(self, seen: Tensor) -> Tensor:
        *skips, bottom = self._encode(seen)
        return self._decode(self.mean(bottom), skips)

    def _encode(self, seen: Tensor) -> list[Tensor]:
        x, features = seen / 100, []
        for level in self.down:
            x = F.relu(level(x))
            features.append(x)
        return features

    def _decode(self, latent: Tensor, skips: list[Tensor]) -> Tensor:
        x = F.relu(self.up[0](latent))
        for rise, skip in zip(list(self.up)[1:], skips[::-1], strict=True):
            joined = F.interpolate(skip, size=x.shape[2:], mode="bilinear", align_corners=False)
            x = F.relu(rise(torch.cat([x, joined], dim=1)))
        return torch.sigmoid(self.last(x))


def last_map(*, levels: int, down: int, up: int) -> int:
    """Return the side of the last map of 64 channels for a picture of 150 x 150."""
    side = SIDE
    for _ in range(levels):
        side = (side - down) // 2 + 1
    for _ in range(levels):
        side = 2 * (side - 1) + up
    return side
