"""Our second generator: the first one, enlarged, with colour hints and averaging over positions that look alike."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.architectures.blocks import BasicBlock, BinClassifier, conv_norm_relu, double
from training.architectures.encoders import ResNet18Encoder
from training.architectures.fine import SceneBlock

KEYS = 64
"""Channels of the unit vectors used to compare positions."""

GROWN = frozenset({"hints", "scene16", "scene32", "refine16", "refine8", "refine4", "coherence"})
"""The parts of a `Coherent` that a smaller network's weights may lack."""

_CONTEXT = 192
_AT16, _AT8, _AT4 = 160, 128, 96
_HINT_WIDTH = 32
_AB_SCALE = 50.0
_FEWEST = 1e-4
_SHARPNESS, _REACH, _TONE = 10.0, 0.2, 25.0


class Coherent(BinClassifier):
    """L* (N, 1, H, W), 0..100, H and W multiples of 32, to logits over ``bins`` colours (N, bins, H / 4, W / 4).

    It contains a `ResNet18Bins` with the same parameter names, and every further part starts silent, so that the larger
    network can start from the weights of the smaller one. ``scene32`` and ``scene16`` transformer blocks let the parts
    of a scene attend to each other at strides 32 and 16; ``refine`` residual blocks follow the decoder's steps at
    strides 16, 8 and 4. `Hints` supply known colours, and `Coherence` gives similar positions the same colour.
    """

    def __init__(
        self,
        bins: int,
        *,
        scene32: int = 4,
        scene16: int = 4,
        refine: tuple[int, int, int] = (1, 1, 1),
        learns_coherence: bool = True,
    ) -> None:
        super().__init__()
        self.encoder = ResNet18Encoder()
        self.hints = Hints((64, 128, 256))
        self.scene16 = nn.Sequential(*(SceneBlock(256, dropout=0.0) for _ in range(scene16)))
        self.context = nn.Sequential(BasicBlock(256, _CONTEXT, 2), BasicBlock(_CONTEXT, _CONTEXT))
        self.scene = nn.Sequential(nn.Linear(_CONTEXT, _CONTEXT), nn.ReLU(inplace=True), nn.Linear(_CONTEXT, _CONTEXT))
        self.scene32 = nn.Sequential(*(SceneBlock(_CONTEXT, dropout=0.0) for _ in range(scene32)))
        self.up16 = conv_norm_relu(_CONTEXT + 256, _AT16)
        self.up8 = conv_norm_relu(_AT16 + 128, _AT8)
        self.up4 = conv_norm_relu(_AT8 + 64, _AT4)
        self.refine16, self.refine8, self.refine4 = (
            nn.Sequential(*(BasicBlock(width, width, start_silent=True) for _ in range(count)))
            for width, count in zip((_AT16, _AT8, _AT4), refine, strict=True)
        )
        self.coherence = Coherence(_AT4).requires_grad_(learns_coherence)
        self.head = nn.Conv2d(_AT4, bins, 1)

    def features(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """Return the input of ``head``, (N, 96, H / 4, W / 4)."""
        coherent: Tensor = self.coherence(self.evidence(lightness, hints), lightness)
        return coherent

    def evidence(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """Return the features before positions that look alike are averaged, (N, 96, H / 4, W / 4)."""
        hinted = self.hints(hints) if hints is not None else (None, None, None)
        half = self.encoder.stem(lightness)
        quarter = _joined(self.encoder.layer1(F.max_pool2d(half, 3, 2, 1)), hinted[0])
        eighth = _joined(self.encoder.layer2(quarter), hinted[1])
        sixteenth = self.scene16(_joined(self.encoder.layer3(eighth), hinted[2]))
        x = self.context(sixteenth)
        x = self.scene32(x + self.scene(x.mean(dim=(2, 3)))[:, :, None, None])
        x = self.refine16(self.up16(torch.cat([double(x), sixteenth], dim=1)))
        x = self.refine8(self.up8(torch.cat([double(x), eighth], dim=1)))
        features: Tensor = self.refine4(self.up4(torch.cat([double(x), quarter], dim=1)))
        return features

    def forward(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """Return the logits. ``hints`` are those of `Hints`; None: no known colours."""
        logits: Tensor = self.head(self.features(lightness, hints))
        return logits

    def with_evidence(self, lightness: Tensor, hints: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the logits, and each position's own logits at half the size, (N, bins, H / 8, W / 8)."""
        evidence = self.evidence(lightness, hints)
        return self.head(self.coherence(evidence, lightness)), self.head(F.avg_pool2d(evidence, 2))


def _joined(features: Tensor, hinted: Tensor | None) -> Tensor:
    return features if hinted is None else features + hinted


class Hints(nn.Module):
    """Known colours, added to the encoder's features at strides 4, 8 and 16; silent at first.

    Hints (N, 3, H / 4, W / 4) are a* and b* in CIELAB units times the mask, and the mask, 0 or 1. Without hints nothing
    is added: no part of the path has a bias.
    """

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(4, _HINT_WIDTH, 1, bias=False),
                nn.ReLU(inplace=True),
                nn.Conv2d(_HINT_WIDTH, width, 1, bias=False),
            )
            for width in widths
        )
        for path in self.paths:
            assert isinstance(path, nn.Sequential)
            nn.init.zeros_(path[2].weight)  # type: ignore[arg-type]  # a convolution's

    def forward(self, hints: Tensor) -> tuple[Tensor, ...]:
        """Return what to add at each stride."""
        hinted = []
        for number, path in enumerate(self.paths):
            seen = hints if number == 0 else F.avg_pool2d(hints, 2**number)
            share = seen[:, 2:]
            # The mean of the hints in a cell, however few of its positions they cover; 0 if there are none.
            known = seen / (share + _FEWEST)
            hinted.append(path(torch.cat([known[:, :2] / _AB_SCALE, known[:, 2:], share], dim=1)))
        return tuple(hinted)


class Coherence(nn.Module):
    """Averages the features of positions that look alike, before colours are chosen.

    With a linear head the mean of log-probabilities over positions equals the head's output for the mean of their
    features, so features are averaged here: weights are exp(s cos - d^2 / (2 r^2) - dL^2 / (2 t^2)), normalised, with
    cos the cosine of two positions' projected features, d their distance in short sides, and dL that of their L*.
    Learned are the projection, factors on s, 1 / r and 1 / t (initially 10, 0.2 and 25), and how much of the change is
    added. Positions are means of 2 x 2; the change is upsampled.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(width, KEYS, 1, bias=False)
        nn.init.orthogonal_(self.project.weight)
        self.sharpness, self.nearness, self.tone, self.amount = (nn.Parameter(torch.ones(1)) for _ in range(4))

    @torch.no_grad()
    def compare_as_they_are(self, features: Tensor) -> None:
        """Set the projection to preserve the products of ``features`` (N, width, h, w) as well as 64 channels can."""
        vectors = features.flatten(2).transpose(1, 2).reshape(-1, features.shape[1])
        directions = torch.linalg.eigh(vectors.T @ vectors / len(vectors)).eigenvectors
        self.project.weight.copy_(directions[:, -KEYS:].T[:, :, None, None])

    def compared_by(self, places: Tensor) -> Tensor:
        """Return the unit vectors (N, 64, h, w) by which positions (N, width, h, w) are compared."""
        keys: Tensor = self.project(places)
        lengths = (keys.square().sum(dim=1, keepdim=True) + 1e-6).sqrt()
        return keys / lengths

    def forward(self, features: Tensor, lightness: Tensor) -> Tensor:
        """Return ``features`` (N, width, H / 4, W / 4), averaged; ``lightness`` is L* (N, 1, H, W)."""
        with torch.autocast(features.device.type, enabled=False):
            _, _, change = self.averaged(features.float(), lightness)
        return features + double(change).to(features.dtype)

    def averaged(self, features: Tensor, lightness: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the positions (N, width, H / 8, W / 8), their `compared_by` vectors, and the change by averaging."""
        places = F.avg_pool2d(features, 2)
        vectors = self.compared_by(places)
        keys = self._keys(vectors, F.avg_pool2d(lightness, 8))
        nearness = -0.5 * keys[:, :, KEYS:].square().sum(dim=2)[:, None]
        shares = F.softmax(keys @ keys.transpose(1, 2) + nearness, dim=2)
        values = places.flatten(2).transpose(1, 2)
        change = self.amount * (shares @ values - values)
        return places, vectors, change.transpose(1, 2).reshape(places.shape)

    def _keys(self, vectors: Tensor, lightness: Tensor) -> Tensor:
        """Return vectors (N, positions, 67) whose products, minus half the keys' last squares, are the log weights.

        -|p - q|^2 / 2 is p q - |q|^2 / 2 up to a term that a softmax over q cancels.
        """
        height, width = vectors.shape[2:]
        rows = torch.arange(height, dtype=torch.float32, device=vectors.device)
        columns = torch.arange(width, dtype=torch.float32, device=vectors.device)
        # Sizes are dynamic in an export, so values computed from them are tensors.
        unit = _REACH * (torch.minimum(rows[-1], columns[-1]) + 1)
        rows, columns = (rows - rows.mean()) / unit, (columns - columns.mean()) / unit
        shape = (vectors.shape[0], 1, height, width)
        parts = [
            vectors * self.sharpness * _SHARPNESS**0.5,
            rows[:, None].expand(shape) * self.nearness,
            columns.expand(shape) * self.nearness,
            (lightness - 50) / _TONE * self.tone,
        ]
        return torch.cat(parts, dim=1).flatten(2).transpose(1, 2)
