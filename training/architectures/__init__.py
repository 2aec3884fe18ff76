"""The generators, by name, with their contracts.

Every generator takes L* (N, 1, H, W), 0..100, H and W multiples of ``multiple``, and outputs, smaller by ``stride``,
logits over quantised ab, a* and b* in CIELAB units, or an sRGB picture. Further capabilities are listed in its
`Architecture`. Some draw from torch's global generator during training (dropout, the VAE's latent), so a resume must
restore its state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import nn

from training.architectures.coherent import Coherent
from training.architectures.encoder_decoder_6 import EncoderDecoder6
from training.architectures.fine import Fine
from training.architectures.pix2pix_unet import Pix2PixUNet
from training.architectures.resnet18_bins import ResNet18Bins
from training.architectures.resnet18_unet import ResNet18UNet
from training.architectures.unet_plain import UNetPlain
from training.architectures.unet_simple import UNetSimple
from training.architectures.unet_vae import UNetVAE
from training.architectures.vgg16_autoencoder import VGG16Autoencoder
from training.architectures.zhang2016 import Zhang2016

GAMUT_BINS = 260
ZHANG_BINS = 313


@dataclass(frozen=True)
class Architecture:
    """A generator: how to build it with random weights, and its contract."""

    build: Callable[[], nn.Module]
    stride: int
    """Input pixels per output pixel, along each side."""
    multiple: int
    """The input's height and width must be multiples of this."""
    bins: Literal["gamut260", "zhang313"] | None = None
    """The colours that the logits (N, Q, H / stride, W / stride) refer to; None: it outputs ab or RGB."""

    rgb: bool = False
    """Whether it outputs sRGB (N, 3, ...), 0..1, from which ab is taken, instead of ab (N, 2, ...)."""
    hints: bool = False
    """Whether it takes hints as a second argument, see `training.architectures.coherent.Hints`."""
    encoder: bool = False
    """Whether it has an ``encoder`` that is initialised from ImageNet weights by ``load_imagenet``."""
    embeddings: bool = False
    """Whether it can ``decode`` the output of its encoder without further input."""
    latent: bool = False
    """Whether it has a latent, whose divergence ``with_divergence`` also returns, for training."""
    evidence: bool = False
    """Whether ``with_evidence`` also returns each position's own prediction, for training."""

    memory_format: torch.memory_format = torch.channels_last
    """The layout of weights and maps in training. With large kernels channels_last is many times slower on CPUs."""

    @property
    def classifies(self) -> bool:
        """Whether the output is logits over bins, not a* and b* or RGB."""
        return self.bins is not None


def _coherent(**parts: Any) -> Architecture:
    build = partial(Coherent, GAMUT_BINS, **parts)
    return Architecture(build, 4, 32, "gamut260", hints=True, encoder=True, evidence=True)


def _bins(build: Callable[[int], nn.Module], *, multiple: int) -> Architecture:
    return Architecture(partial(build, GAMUT_BINS), 4, multiple, "gamut260", encoder=True)


def _ab(build: Callable[[], nn.Module], *, multiple: int, encoder: bool = False) -> Architecture:
    return Architecture(build, 1, multiple, encoder=encoder)


def _rgb(build: Callable[[], nn.Module], *, multiple: int) -> Architecture:
    return Architecture(build, 1, multiple, rgb=True)


def _fixed_size_rgb(build: Callable[[], nn.Module], *, latent: bool = False) -> Architecture:
    """Return the entry of a network that sees one fixed size, whatever the picture's, with large kernels."""
    return Architecture(build, 1, 2, rgb=True, latent=latent, memory_format=torch.contiguous_format)


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "coherent": _coherent(),
        "coherent-medium": _coherent(scene16=0, refine=(1, 1, 0)),
        "coherent-small": _coherent(scene32=0, scene16=0, refine=(0, 0, 0)),
        "coherent-fixed": _coherent(scene32=0, scene16=0, refine=(0, 0, 0), learns_coherence=False),
        "fine": _bins(Fine, multiple=32),
        "resnet18-bins": _bins(ResNet18Bins, multiple=32),
        "resnet18-unet": _ab(ResNet18UNet, multiple=32, encoder=True),
        "vgg16-autoencoder": Architecture(VGG16Autoencoder, 1, 32, encoder=True, embeddings=True),
        "encoder-decoder-6": _ab(EncoderDecoder6, multiple=64),
        "unet-plain": _ab(UNetPlain, multiple=16),
        "unet-simple": _fixed_size_rgb(UNetSimple),
        "unet-vae": _fixed_size_rgb(UNetVAE, latent=True),
        "unet-vae-4": _fixed_size_rgb(partial(UNetVAE, levels=4, down=3, up=3), latent=True),
        "pix2pix-unet": _ab(Pix2PixUNet, multiple=256),
        "pix2pix-unet-7": _ab(partial(Pix2PixUNet, levels=7), multiple=128),
        "pix2pix-unet-rgb": _rgb(partial(Pix2PixUNet, levels=7, width=32, rgb=True), multiple=128),
        "zhang2016": Architecture(partial(Zhang2016, ZHANG_BINS), 4, 8, "zhang313"),
    }
)
