"""How a film is to be written: encoder, pixel format and container, decided from data before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

import av.codec

from pipeline.errors import UsageError
from pipeline.media.frame_flags import BOTTOM_FIRST
from pipeline.media.pixels import GREY, PixelFormat, pixel_format, planar
from pipeline.media.probe import FULL_RANGE, PROGRESSIVE, FilmInfo
from pipeline.options import Codec, Quality
from pipeline.results import Note, NoteKind


class Container(Enum):
    """Container families: the muxer's name and the file suffix."""

    MP4 = ("mp4", ".mp4")
    MOV = ("mov", ".mov")
    MATROSKA = ("matroska", ".mkv")

    @property
    def muxer(self) -> str:
        """FFmpeg's name of the muxer."""
        return self.value[0]

    @property
    def suffix(self) -> str:
        """The suffix of files, with its dot."""
        return self.value[1]


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """An encoder and what it can hold; ``depths`` gives the bit depths of each chroma layout.

    ``needs_even`` encoders code sizes in steps of their chroma samples only; ``codes_fields`` ones keep interlaced
    pictures interlaced.
    """

    name: str
    title: str
    depths: Mapping[str, tuple[int, ...]]
    options: Mapping[str, str]
    is_lossless: bool = False
    needs_even: bool = False
    codes_fields: bool = False


# Grain is what film is made of: without this tuning veryfast smooths it (44 dB instead of 48 in the worst frame).
_GRAIN = {"preset": "veryfast", "crf": "16", "tune": "grain"}
_DEEP = (8, 9, 10, 12, 14, 16)

ENCODERS: Mapping[Codec, Encoder] = {
    Codec.H264: Encoder(
        name="libx264",
        title="H.264",
        depths={"4:2:0": (8, 10), "4:2:2": (8, 10), "4:4:4": (8, 10)},
        options=_GRAIN,
        needs_even=True,
        codes_fields=True,
    ),
    Codec.HEVC: Encoder(
        name="libx265",
        title="HEVC",
        depths={"4:2:0": (8, 10, 12), "4:2:2": (8, 10, 12), "4:4:4": (8, 10, 12)},
        options={**_GRAIN, "x265-params": "log-level=error"},
        needs_even=True,
    ),
    Codec.AV1: Encoder(name="libsvtav1", title="AV1", depths={"4:2:0": (8, 10)}, options={"preset": "8", "crf": "15"}),
    Codec.PRORES: Encoder(
        name="prores_ks",
        title="ProRes",
        depths={"4:2:2": (10,), "4:4:4": (10,)},
        options={"vendor": "apl0"},
        codes_fields=True,
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
        # Version 3, every frame a key frame, a checksum in every slice: what archives ask for.
        options={"level": "3", "slices": "16", "slicecrc": "1", "g": "1", "coder": "1", "context": "0"},
        is_lossless=True,
        codes_fields=True,
    ),
}

# Where chroma may go, best first. The source's own chroma says nothing (the film is black and white), so grey takes
# 4:2:0 for access and master alike: chroma is computed far smaller than that, and it plays everywhere.
_LAYOUTS = {
    GREY: ("4:2:0", "4:2:2", "4:4:4"),
    "4:2:0": ("4:2:0", "4:2:2", "4:4:4"),
    "4:2:2": ("4:2:2", "4:4:4", "4:2:0"),
    "4:4:4": ("4:4:4", "4:2:2", "4:2:0"),
    "4:4:0": ("4:4:0", "4:2:0", "4:2:2", "4:4:4"),
    "4:1:1": ("4:1:1", "4:2:0", "4:2:2", "4:4:4"),
    "4:1:0": ("4:1:0", "4:2:0", "4:2:2", "4:4:4"),
}


# What each container holds, players included; Matroska holds all.
_HELD = {
    Container.MP4: (Codec.H264, Codec.HEVC, Codec.AV1),
    Container.MOV: (Codec.H264, Codec.HEVC, Codec.PRORES),
    Container.MATROSKA: tuple(ENCODERS),
}


@dataclass(frozen=True, kw_only=True)
class VideoPlan:
    """The decisions. ``options`` are the encoder's; ``notes`` say what the user would not expect.

    ``field_order`` is FFmpeg's number for the result; ``deinterlaces`` asks for whole pictures made of fields.
    """

    codec: Codec
    encoder: Encoder
    options: Mapping[str, str]
    pixel_format: PixelFormat
    container: Container
    codes_fields: bool
    field_order: int
    deinterlaces: bool
    notes: tuple[Note, ...]

    @property
    def suffix(self) -> str:
        """The suffix the finished file must have."""
        return self.container.suffix


def plan_video(
    info: FilmInfo, codec: Codec, quality: Quality, *, suffix: str | None = None, deinterlace: bool = False
) -> VideoPlan:
    """Decide how the film ``info`` is written. Luma never loses a bit of depth.

    The result has the ``suffix`` asked for, or stays in the family of its source where its codec can.
    ``deinterlace`` makes whole pictures of interlaced film and is nothing to any other. Raises `UsageError` when
    ``codec`` or ``suffix`` cannot hold this film, or contradict ``quality``.
    """
    deinterlaces = deinterlace and info.is_interlaced
    shown = replace(info, is_interlaced=False, field_order=PROGRESSIVE) if deinterlaces else info
    chosen = _codec(info, codec, quality)
    encoder = ENCODERS[chosen]
    target = _pixel_format(shown, encoder)
    container, container_notes = _container(info, chosen, suffix)
    options = dict(encoder.options)
    if chosen is Codec.FFV1 and not _takes_sixteen_slices(info, target):
        del options["slices"]
    if chosen is Codec.H264 and shown.is_interlaced and shown.field_order in BOTTOM_FIRST:
        options["x264-params"] = "bff=1"  # else the container's header says "top"
    if chosen is Codec.PRORES:
        options["profile"] = "4" if target.layout == "4:4:4" else "3"
    notes = [*_picture_notes(shown, encoder, target), *container_notes]
    if deinterlaces:
        text = "deinterlaced (bwdif): every other line is made anew, luma is not that of the source there"
        notes.append(Note(NoteKind.CONVERTED, text))
    return VideoPlan(
        codec=chosen,
        encoder=encoder,
        options=options,
        pixel_format=target,
        container=container,
        codes_fields=shown.is_interlaced and encoder.codes_fields,
        field_order=shown.field_order,
        deinterlaces=deinterlaces,
        notes=tuple(notes),
    )


def _codec(info: FilmInfo, codec: Codec, quality: Quality) -> Codec:
    bits = info.pixel_format.bits
    if quality is Quality.MASTER:
        if codec not in (Codec.AUTO, Codec.FFV1):
            raise UsageError(
                f"--quality master is lossless, {codec} is not", advice="Leave --codec out, or use --codec ffv1."
            )
        return Codec.FFV1
    if codec is Codec.AUTO:
        return Codec.H264 if bits <= 10 else Codec.HEVC if bits <= 12 else Codec.FFV1
    deepest = max(max(depths) for depths in ENCODERS[codec].depths.values())
    if bits > deepest:
        raise UsageError(
            f"{info.path}: has {bits} bits, {codec} holds {deepest}",
            advice="Use --codec ffv1 or --quality master to keep them all.",
        )
    # Grey without a word about its range is full, as FFmpeg makes and reads it.
    is_full = info.colors.range == FULL_RANGE or (info.pixel_format.is_grey and not info.colors.range)
    if codec is Codec.PRORES and is_full:
        raise UsageError(
            f"{info.path}: uses the full range of codes, which ProRes cannot mark", advice="Use another --codec."
        )
    return codec


def _pixel_format(info: FilmInfo, encoder: Encoder) -> PixelFormat:
    source = info.pixel_format
    layouts = _LAYOUTS[source.layout]
    depths = sorted({bits for held in encoder.depths.values() for bits in held if bits >= source.bits})
    for bits in depths:
        for layout in layouts:
            if bits in encoder.depths.get(layout, ()) and _fits(info, encoder, layout):
                return pixel_format(_with_alpha(source, encoder, planar(layout, bits)))
    raise UsageError(
        f"{info.path}: {encoder.title} cannot hold {source.name} at {info.width} x {info.height}",
        advice="Use --codec ffv1 or --quality master.",
    )


def _with_alpha(source: PixelFormat, encoder: Encoder, name: str) -> str:
    """Return the source's own format instead of ``name`` where only that keeps its alpha channel."""
    held = {held.name for held in av.codec.Codec(encoder.name, "w").video_formats or ()}
    keeps = encoder.is_lossless and source.name == name.replace("yuv", "yuva") and source.name in held
    return source.name if keeps else name


def _fits(info: FilmInfo, encoder: Encoder, layout: str) -> bool:
    if not encoder.needs_even:
        return True
    columns = 2 if layout in ("4:2:0", "4:2:2") else 1
    rows = 2 if layout == "4:2:0" else 1
    if info.is_interlaced and encoder.codes_fields:
        rows *= 2
    return info.width % columns == 0 and info.height % rows == 0


def _picture_notes(info: FilmInfo, encoder: Encoder, target: PixelFormat) -> tuple[Note, ...]:
    source = info.pixel_format
    notes = []
    usual = "4:2:0" if source.is_grey else source.layout
    if target.layout != usual:
        size = f" at {info.width} x {info.height}" if usual in encoder.depths else ""
        notes.append(f"chroma is written as {target.layout}: {encoder.title} holds no {usual}{size}")
    if target.bits != source.bits:
        notes.append(f"luma of {source.bits} bits is written with {target.bits}, shifted, without loss")
    if info.is_interlaced and not encoder.codes_fields:
        notes.append(f"interlaced pictures are coded whole: {encoder.title} marks them in the container only")
    if source.is_rgb:
        notes.append(
            f"red, green and blue are written as luma and chroma {target.layout}, full range, {target.bits} bits: luma "
            "is exact where the three are equal, elsewhere rounded by at most half a code"
        )
    made = [Note(NoteKind.CONVERTED, text) for text in notes]
    if info.sequence is not None:
        made += info.sequence.notes
    if source.has_alpha and not target.has_alpha:
        made.append(Note(NoteKind.DROPPED, "the alpha channel is not written"))
    if info.has_crop:
        made.append(Note(NoteKind.DROPPED, "the clean aperture (a crop for players) is not written; no picture is cut"))
    return tuple(made)


def _takes_sixteen_slices(info: FilmInfo, target: PixelFormat) -> bool:
    # FFmpeg's encoder refuses counts that would cut chroma samples, or leave slices too small or too large; asked for
    # no count, it finds one.
    is_even = info.width % 2 == 0 and info.height % 2 == 0 and target.layout not in ("4:1:1", "4:1:0")
    return is_even and min(info.width, info.height) >= 16 and max(info.width, info.height) <= 4096


def _container(info: FilmInfo, codec: Codec, suffix: str | None) -> tuple[Container, tuple[Note, ...]]:
    own = _family(info)
    if suffix is not None:
        wanted = _asked(info, codec, suffix)
    elif codec is Codec.FFV1:
        wanted = Container.MATROSKA
    elif codec is Codec.PRORES:
        wanted = Container.MOV
    elif own is not None and codec not in _HELD[own]:
        wanted = Container.MP4  # QuickTime has no AV1
    else:
        wanted = own or Container.MATROSKA
    if info.sequence is not None or (wanted is own and info.path.suffix.lower() != ".webm"):
        return wanted, ()
    text = f"the result is {wanted.suffix}, not {info.path.suffix.lower() or info.container}"
    return wanted, (Note(NoteKind.CONVERTED, text),)


def _asked(info: FilmInfo, codec: Codec, suffix: str) -> Container:
    container = next((known for known in Container if known.suffix == suffix.lower()), None)
    if container is None:
        raise UsageError(
            f"{info.path}: films are not written as {suffix or 'names without a suffix'}",
            advice="Give the result the suffix .mp4, .mov or .mkv.",
        )
    if codec not in _HELD[container]:
        able = " or ".join(other.suffix for other in Container if codec in _HELD[other])
        raise UsageError(
            f"{info.path}: becomes {ENCODERS[codec].title}, which {container.suffix} cannot hold",
            advice=f"Give the result the suffix {able}, or choose another --codec or --quality.",
        )
    return container


def _family(info: FilmInfo) -> Container | None:
    if "matroska" in info.container:
        return Container.MATROSKA
    if "mov" not in info.container:
        return None
    is_quicktime = info.path.suffix.lower() == ".mov" or info.metadata.get("major_brand") == "qt  "
    return Container.MOV if is_quicktime else Container.MP4
