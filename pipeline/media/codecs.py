"""Video codecs of results, as data: add one as an entry of `ENCODERS`, and a name in `pipeline.options.Codec`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import cv2

from pipeline.media.hdr import Hdr
from pipeline.options import Codec

Options = Mapping[str, str]

_AVX_512F = 13  # OpenCV's CV_CPU_AVX_512F


class Container(Enum):
    """Container families: the muxer's name and the file suffix."""

    MP4 = ("mp4", ".mp4")
    MOV = ("mov", ".mov")
    MATROSKA = ("matroska", ".mkv")

    @property
    def muxer(self) -> str:
        """Name of the muxer in FFmpeg."""
        return self.value[0]

    @property
    def suffix(self) -> str:
        """The file suffix, with its dot."""
        return self.value[1]


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder, what it can hold, and its options.

    ``depths`` gives the bit depths of each chroma layout; ``containers`` are those in which players support the codec;
    ``home`` is the one always used, whatever the source's is. ``is_automatic`` encoders are chosen automatically, in
    the order of the table, ``is_lossless`` ones for masters. ``needs_even`` encoders only code sizes that are multiples
    of their chroma samples, ``codes_fields`` ones keep interlaced pictures interlaced. ``marks_full_range`` and
    ``keeps_captions`` tell what the codec preserves.

    ``options`` are always passed to the encoder; further ones by layout, for interlaced pictures whose bottom field
    comes first, by ``hdr`` for static HDR metadata (None: it cannot be stored), and by ``by_size`` for width,
    height and layout. Values of one option are joined by colons. ``tags`` are codec tags that players of a container
    require; ``thread_by_frame`` overrides slices, PyAV's default, where these cost quality. ``environment`` is set,
    unless it already is, for libraries that read nothing else.
    """

    name: str
    title: str
    depths: Mapping[str, tuple[int, ...]]
    containers: tuple[Container, ...]
    options: Options
    home: Container | None = None
    is_automatic: bool = False
    is_lossless: bool = False
    needs_even: bool = False
    codes_fields: bool = False
    marks_full_range: bool = True
    keeps_captions: bool = False
    by_layout: Mapping[str, Options] = field(default_factory=dict)
    bottom_first: Options = field(default_factory=dict)
    hdr: Callable[[Hdr], Options] | None = None
    by_size: Callable[[int, int, str], Options] | None = None
    tags: Mapping[Container, str] = field(default_factory=dict)
    thread_by_frame: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def deepest(self) -> int:
        """The maximum bit depth of luma."""
        return max(max(depths) for depths in self.depths.values())


def merged(*options: Options) -> dict[str, str]:
    """Return all ``options``; several values of one are joined by colons, like the encoders' own parameters."""
    result: dict[str, str] = {}
    for given in options:
        for name, value in given.items():
            result[name] = f"{result[name]}:{value}" if name in result else value
    return result


def _repeatable_x264() -> Options:
    """Return options by which x264 gives the same packets for the same frames, on this processor.

    The AVX-512 code of its macroblock tree reads uninitialised memory. The AVX2 code does not, and is as fast here.
    """
    has_avx_512 = cv2.checkHardwareSupport(_AVX_512F)
    return {"x264-params": "asm=MMX2,SSE2Fast,SSSE3,SSE4.2,LZCNT,AVX,FMA3,BMI2,AVX2"} if has_avx_512 else {}


def _x264_hdr(hdr: Hdr) -> Options:
    mastering = f"mastering-display={hdr.mastering_text()}" if hdr.mastering else ""
    light = f"cll={hdr.light[0]},{hdr.light[1]}" if hdr.light else ""
    return {"x264-params": ":".join(filter(None, (mastering, light)))}


def _x265_hdr(hdr: Hdr) -> Options:
    mastering = f"master-display={hdr.mastering_text()}" if hdr.mastering else ""
    light = f"max-cll={hdr.light[0]},{hdr.light[1]}" if hdr.light else ""
    return {"x265-params": ":".join(filter(None, (mastering, light)))}


def _svtav1_hdr(hdr: Hdr) -> Options:
    mastering = f"mastering-display={hdr.mastering_text(in_units=True)}" if hdr.mastering else ""
    light = f"content-light={hdr.light[0]},{hdr.light[1]}" if hdr.light else ""
    return {"svtav1-params": ":".join(filter(None, (mastering, light)))}


def _ffv1_slices(width: int, height: int, layout: str) -> Options:
    # FFmpeg's encoder refuses counts that would split chroma samples, or make slices too small or too large; without
    # a count, it chooses one.
    is_even = width % 2 == 0 and height % 2 == 0 and layout not in ("4:1:1", "4:1:0")
    return {"slices": "16"} if is_even and min(width, height) >= 16 and max(width, height) <= 4096 else {}


# Film consists of grain: without this tuning veryfast smooths it (44 dB instead of 48 in the worst frame).
_GRAIN = {"preset": "veryfast", "tune": "grain"}
# The scales of CRF differ. On two old films these values give H.264, HEVC and AV1 similar RMS errors of luma: 0.97,
# 0.97 and 0.99 codes of 255 in one, 0.82, 0.83 and 0.99 in the other.
_H264_CRF, _HEVC_CRF, _AV1_CRF = "16", "14", "10"
_DEEP = (8, 9, 10, 12, 14, 16)

ENCODERS: Mapping[Codec, Encoder] = {
    Codec.H264: Encoder(
        name="libx264",
        title="H.264",
        depths={"4:2:0": (8, 10), "4:2:2": (8, 10), "4:4:4": (8, 10)},
        containers=(Container.MP4, Container.MOV, Container.MATROSKA),
        options={**_GRAIN, "crf": _H264_CRF, **_repeatable_x264()},
        is_automatic=True,
        needs_even=True,
        codes_fields=True,
        keeps_captions=True,
        bottom_first={"x264-params": "bff=1"},  # else the container's header says "top"
        hdr=_x264_hdr,
        thread_by_frame=True,
    ),
    Codec.HEVC: Encoder(
        name="libx265",
        title="HEVC",
        depths={"4:2:0": (8, 10, 12), "4:2:2": (8, 10, 12), "4:4:4": (8, 10, 12)},
        containers=(Container.MP4, Container.MOV, Container.MATROSKA),
        options={**_GRAIN, "crf": _HEVC_CRF, "a53cc": "1", "x265-params": "log-level=error"},
        is_automatic=True,
        needs_even=True,
        keeps_captions=True,
        hdr=_x265_hdr,
        tags={Container.MP4: "hvc1", Container.MOV: "hvc1"},  # Apple's players accept no other
    ),
    Codec.AV1: Encoder(
        name="libsvtav1",
        title="AV1",
        depths={"4:2:0": (8, 10)},
        containers=(Container.MP4, Container.MATROSKA),
        options={"preset": "8", "crf": _AV1_CRF},
        hdr=_svtav1_hdr,
        environment={"SVT_LOG": "1"},  # it prints its settings on stderr otherwise
    ),
    Codec.PRORES: Encoder(
        name="prores_ks",
        title="ProRes",
        depths={"4:2:2": (10,), "4:4:4": (10,)},
        containers=(Container.MOV, Container.MATROSKA),
        home=Container.MOV,
        options={"vendor": "apl0"},
        codes_fields=True,
        marks_full_range=False,
        by_layout={"4:2:2": {"profile": "3"}, "4:4:4": {"profile": "4"}},
    ),
    Codec.FFV1: Encoder(
        name="ffv1",
        title="FFV1",
        depths={
            "4:2:0": _DEEP,
            "4:2:2": _DEEP,
            "4:4:4": _DEEP,
            "4:4:0": (8, 10, 12),
            "4:1:1": (8,),
            "4:1:0": (8,),
        },
        containers=(Container.MATROSKA,),
        home=Container.MATROSKA,
        # Version 3, every frame a key frame, a checksum in every slice: as archives require.
        options={"level": "3", "slicecrc": "1", "g": "1", "coder": "1", "context": "0"},
        is_automatic=True,
        is_lossless=True,
        codes_fields=True,
        by_size=_ffv1_slices,
    ),
}
