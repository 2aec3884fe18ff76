"""The hybrid of U-Net and variational autoencoder: skips carry the detail, a Gaussian latent the scene."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.architectures.blocks import bounded_ab, centred, grey_head, two_convs

_LOG_VARIANCE = 10.0


class UNetVAE(nn.Module):
    """L* (N, 1, H, W), 0..100, H and W multiples of 16, to ab (N, 2, H, W) within +-110.

    The U-Net of Ronneberger et al. 2015 at half its width, whose bottom is a map of ``latent`` normal variables
    (Kingma and Welling 2013) with the standard normal as their prior. The encoder sees L* alone, in training too: the
    latent regularises, and nothing is missing when there is no colour to look at.
    """

    def __init__(self, width: int = 32, latent: int = 128) -> None:
        """Make ``width`` channels at full size, twice as many at each of four levels below."""
        super().__init__()
        widths = [width << level for level in range(5)]
        self.down = nn.ModuleList(two_convs(a, b) for a, b in pairwise([1, *widths]))
        self.mean = nn.Conv2d(widths[-1], latent, 1)
        self.log_variance = nn.Conv2d(widths[-1], latent, 1)
        self.unfold = nn.Conv2d(latent, widths[-1], 1)
        pairs = list(pairwise(widths[::-1]))
        self.rise = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in pairs)
        self.join = nn.ModuleList(two_convs(2 * b, b) for _, b in pairs)
        self.head = grey_head(width)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return a* and b* for the latent's mean: the same answer every time."""
        *skips, bottom = self._encode(lightness)
        return self._decode(self.mean(bottom), skips)

    def with_divergence(self, lightness: Tensor) -> tuple[Tensor, Tensor]:
        """Return a* and b* for a latent drawn from torch's global generator, and how far its law is from the prior.

        The Kullback-Leibler divergence is in nats, summed over the latent's channels and averaged over positions and
        batch, so that it does not depend on the size of the picture (Kingma and Welling 2013, appendix B).
        """
        *skips, bottom = self._encode(lightness)
        mean = self.mean(bottom).float()
        log_variance = self.log_variance(bottom).float().clamp(-_LOG_VARIANCE, _LOG_VARIANCE)
        drawn = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        return self._decode(drawn, skips), divergence.sum(dim=1).mean()

    def _encode(self, lightness: Tensor) -> list[Tensor]:
        x = self.down[0](centred(lightness))
        features = [x]
        for level in list(self.down)[1:]:
            x = level(F.max_pool2d(x, 2))
            features.append(x)
        return features

    def _decode(self, latent: Tensor, skips: list[Tensor]) -> Tensor:
        x = self.unfold(latent)
        for rise, join, skip in zip(self.rise, self.join, skips[::-1], strict=True):
            x = join(torch.cat([rise(x), skip], dim=1))
        return bounded_ab(self.head(x))
