"""Our fine generator: ResNet-18 encoder, attention over the whole scene, a wide U-Net decoder, ab bins."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.architectures.blocks import BasicBlock, BinClassifier, conv_norm_relu, double
from training.architectures.encoders import ResNet18Encoder

_HEAD = 64
_DROPOUT = 0.1


class Fine(BinClassifier):
    """L* (N, 1, H, W), 0..100, H and W multiples of 32, to logits over ``bins`` colours (N, bins, H / 4, W / 4).

    What an object is, and so its colour, often only follows from the rest of the scene: ``depth`` transformer blocks at
    stride 32 let every part attend to every other, at any picture size. Every residual branch without ImageNet weights
    starts at zero, so that training starts with a plain U-Net and stays stable at a high rate. There is one head:
    regression uses the mean of the bins, which the loss reaches through the softmax.
    """

    def __init__(
        self, bins: int, *, width: int = 512, depth: int = 6, decoder: tuple[int, int, int] = (320, 256, 192)
    ) -> None:
        """Use ``width`` channels (a multiple of 64) at stride 32, and those of ``decoder`` at strides 16, 8 and 4."""
        super().__init__()
        self.encoder = ResNet18Encoder()
        self.stage32 = nn.Sequential(
            BasicBlock(256, width, 2, start_silent=True), BasicBlock(width, width, start_silent=True)
        )
        self.scene = nn.Sequential(*(SceneBlock(width) for _ in range(depth)))
        self.settle = nn.BatchNorm2d(width)
        at16, at8, at4 = decoder
        self.up16 = _up(width + 256, at16)
        self.up8 = _up(at16 + 128, at8)
        self.up4 = _up(at8 + 64, at4)
        self.head = nn.Conv2d(at4, bins, 1)

    def features(self, lightness: Tensor) -> Tensor:
        """Return the input of ``head``, (N, last of ``decoder``, H / 4, W / 4)."""
        _, quarter, eighth, sixteenth = self.encoder(lightness)
        x = self.settle(self.scene(self.stage32(sixteenth)))
        x = self.up16(torch.cat([double(x), sixteenth], dim=1))
        x = self.up8(torch.cat([double(x), eighth], dim=1))
        features: Tensor = self.up4(torch.cat([double(x), quarter], dim=1))
        return features


class SceneBlock(nn.Module):
    """A transformer block (pre-norm) on a map (N, width, H, W), for any H and W.

    Position comes from a depthwise convolution and its zero padding (Chu et al. 2021, Conditional Positional
    Encodings), not from a table of positions, so that every size works.
    """

    def __init__(self, width: int, *, dropout: float = _DROPOUT) -> None:
        super().__init__()
        self.heads = width // _HEAD
        self.place = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm1 = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.gather = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)
        for last in (self.place, self.gather, self.narrow):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]  # optional in torch's stubs, present here

    def forward(self, x: Tensor) -> Tensor:
        """Return a map of the same shape."""
        x = x + self.place(x)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.dropout(self._attend(self.norm1(tokens)))
        tokens = tokens + self.dropout(self.narrow(F.silu(self.widen(self.norm2(tokens)))))
        mixed: Tensor = tokens.transpose(1, 2).reshape(x.shape)
        return mixed

    def _attend(self, tokens: Tensor) -> Tensor:
        query, key, value = (self._split(part(tokens)) for part in (self.query, self.key, self.value))
        shares = F.softmax(query @ key.transpose(2, 3) * _HEAD**-0.5, dim=-1)
        gathered: Tensor = self.gather((shares @ value).transpose(1, 2).flatten(2))
        return gathered

    def _split(self, tokens: Tensor) -> Tensor:
        count, places, _ = tokens.shape
        return tokens.reshape(count, places, self.heads, _HEAD).transpose(1, 2)


def _up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(conv_norm_relu(inputs, outputs), BasicBlock(outputs, outputs, start_silent=True))
