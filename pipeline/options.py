"""What a user can ask for, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Codec(StrEnum):
    """Video codec of the result; AUTO chooses by quality, bit depth and container."""

    AUTO = "auto"
    H264 = "h264"
    HEVC = "hevc"
    AV1 = "av1"
    FFV1 = "ffv1"
    PRORES = "prores"


class Quality(StrEnum):
    """ACCESS is visually transparent and plays everywhere; MASTER is lossless in luma (FFV1 in Matroska)."""

    ACCESS = "access"
    MASTER = "master"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Choices that hold for films and photographs alike."""

    engine: str = "auto"
    model: str = "fast"
    codec: Codec = Codec.AUTO
    quality: Quality = Quality.ACCESS
    overwrite: bool = False
    threads: bool = True
