"""Plan how to write a film: encoder, pixel format and container, decided from data before anything is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import av.codec

from pipeline.errors import UsageError
from pipeline.media.codecs import ENCODERS, Container, Encoder, merged
from pipeline.media.frame_flags import BOTTOM_FIRST
from pipeline.media.hdr import STEREO_MARK
from pipeline.media.pixels import GREY, PixelFormat, pixel_format, planar
from pipeline.media.probe import FULL_RANGE, PROGRESSIVE, FilmInfo
from pipeline.options import Codec, Quality
from pipeline.results import Note, NoteKind

# FFV1 in these formats is newer than FFmpeg 5.1, which is in Debian 12 and others.
_NEW_ALPHA_BITS = 12
# Possible chroma layouts, best first. The source's own chroma is meaningless (the film is black and white), so grey
# becomes 4:2:0 for both access and master: chroma is computed far smaller, and this plays everywhere.
_LAYOUTS = {
    GREY: ("4:2:0", "4:2:2", "4:4:4"),
    "4:2:0": ("4:2:0", "4:2:2", "4:4:4"),
    "4:2:2": ("4:2:2", "4:4:4", "4:2:0"),
    "4:4:4": ("4:4:4", "4:2:2", "4:2:0"),
    "4:4:0": ("4:4:0", "4:2:0", "4:2:2", "4:4:4"),
    "4:1:1": ("4:1:1", "4:2:0", "4:2:2", "4:4:4"),
    "4:1:0": ("4:1:0", "4:2:0", "4:2:2", "4:4:4"),
}


@dataclass(frozen=True, kw_only=True)
class VideoPlan:
    """The decisions. ``options`` are the encoder's; ``notes`` tell what the user would not expect.

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
    """Decide how the film ``info`` is written. Luma never loses bit depth.

    The result has the requested ``suffix``, or stays in the container family of its source if its codec allows.
    ``deinterlace`` makes whole pictures of interlaced film and has no effect on any other. Raises `UsageError` if
    ``codec`` or ``suffix`` cannot hold this film, or contradict ``quality``.
    """
    deinterlaces = deinterlace and info.is_interlaced
    shown = replace(info, is_interlaced=False, field_order=PROGRESSIVE) if deinterlaces else info
    chosen = _codec(info, codec, quality)
    encoder = ENCODERS[chosen]
    target = _pixel_format(shown, encoder)
    container, container_notes = _container(info, chosen, suffix)
    is_bottom_first = shown.is_interlaced and shown.field_order in BOTTOM_FIRST
    options = merged(
        encoder.options,
        encoder.by_layout.get(target.layout, {}),
        encoder.bottom_first if is_bottom_first else {},
        encoder.hdr(info.hdr) if encoder.hdr is not None and info.hdr else {},
        encoder.by_size(info.width, info.height, target.layout) if encoder.by_size is not None else {},
    )
    notes = [*_picture_notes(shown, encoder, target, container), *container_notes]
    if deinterlaces:
        text = "deinterlaced (bwdif): every other line is interpolated, and its luma is not the source's"
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
        if codec is not Codec.AUTO and not ENCODERS[codec].is_lossless:
            raise UsageError(
                f"--quality master is lossless, {codec} is not", advice="Leave --codec out, or use --codec ffv1."
            )
        return next(name for name, encoder in ENCODERS.items() if encoder.is_lossless and codec in (name, Codec.AUTO))
    if codec is Codec.AUTO:
        return next(name for name, encoder in ENCODERS.items() if encoder.is_automatic and bits <= encoder.deepest)
    encoder = ENCODERS[codec]
    if bits > encoder.deepest:
        raise UsageError(
            f"{info.path}: has {bits} bits, {codec} holds {encoder.deepest}",
            advice="Use --codec ffv1 or --quality master to keep them all.",
        )
    # Grey of unspecified range is full, as FFmpeg writes and reads it.
    is_full = info.colors.range == FULL_RANGE or (info.pixel_format.is_grey and not info.colors.range)
    if is_full and not encoder.marks_full_range:
        raise UsageError(
            f"{info.path}: uses the full range of codes, which {encoder.title} cannot mark",
            advice="Use another --codec.",
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
    """Return the source's own format instead of ``name`` if only that keeps its alpha channel."""
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


def _picture_notes(info: FilmInfo, encoder: Encoder, target: PixelFormat, container: Container) -> tuple[Note, ...]:
    source = info.pixel_format
    notes = []
    usual = "4:2:0" if source.is_grey else source.layout
    if target.layout != usual:
        size = f" at {info.width} x {info.height}" if usual in encoder.depths else ""
        notes.append(f"chroma is written as {target.layout}: {encoder.title} holds no {usual}{size}")
    if target.bits != source.bits:
        notes.append(f"luma of {source.bits} bits is written with {target.bits}, shifted, without loss")
    if info.is_interlaced and not encoder.codes_fields:
        notes.append(f"interlaced pictures are coded as frames: {encoder.title} marks them in the container only")
    if source.is_rgb:
        notes.append(
            f"red, green and blue are written as luma and chroma {target.layout}, full range, {target.bits} bits: luma "
            "is exact where the three are equal, elsewhere rounded by at most half a code"
        )
    made = [Note(NoteKind.CONVERTED, text) for text in notes]
    made += _lost(info, encoder, container)
    if info.sequence is not None:
        made += info.sequence.notes
    if source.has_alpha and not target.has_alpha:
        made.append(Note(NoteKind.DROPPED, "the alpha channel is not written"))
    if target.has_alpha and target.bits == _NEW_ALPHA_BITS:
        text = f"{encoder.title} with alpha and {target.bits} bits is opened by FFmpeg 6.1 and newer only"
        made.append(Note(NoteKind.ASSUMED, text))
    if info.has_crop:
        made.append(Note(NoteKind.DROPPED, "the clean aperture (a crop for players) is not written; no picture is cut"))
    return tuple(made)


def _lost(info: FilmInfo, encoder: Encoder, container: Container) -> Iterator[Note]:
    """Yield a note on each kind of picture data that the encoder cannot store."""
    if info.has_captions and not encoder.keeps_captions:
        yield Note(NoteKind.DROPPED, f"closed captions (EIA-608/708): {encoder.title} is written without them")
    if info.hdr and encoder.hdr is None:
        yield Note(NoteKind.DROPPED, f"HDR metadata (mastering display, light levels): {encoder.title} has no place")
    # Matroska keeps it if it was a tag.
    keeps_stereo = container is Container.MATROSKA and "stereo_mode" in info.stream_metadata
    for name in info.hdr.lost:
        if keeps_stereo and name.startswith(STEREO_MARK):
            continue
        yield Note(NoteKind.DROPPED, name)


def _container(info: FilmInfo, codec: Codec, suffix: str | None) -> tuple[Container, tuple[Note, ...]]:
    own = _family(info)
    encoder = ENCODERS[codec]
    if suffix is not None:
        wanted = _asked(info, encoder, suffix)
    elif encoder.home is not None:
        wanted = encoder.home
    elif own is None:
        wanted = Container.MATROSKA
    else:
        wanted = own if own in encoder.containers else encoder.containers[0]
    named = info.path.suffix.lower()
    if info.sequence is not None or wanted.suffix == named or (wanted is own and named != ".webm"):
        return wanted, ()
    text = f"the result is {wanted.suffix}, not {named or info.container}"
    return wanted, (Note(NoteKind.CONVERTED, text),)


def _asked(info: FilmInfo, encoder: Encoder, suffix: str) -> Container:
    container = next((known for known in Container if known.suffix == suffix.lower()), None)
    if container is None:
        raise UsageError(
            f"{info.path}: films are not written as {suffix or 'names without a suffix'}",
            advice="Give the result the suffix .mp4, .mov or .mkv.",
        )
    if container not in encoder.containers:
        able = " or ".join(other.suffix for other in Container if other in encoder.containers)
        raise UsageError(
            f"{info.path}: becomes {encoder.title}, which {container.suffix} cannot hold",
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
