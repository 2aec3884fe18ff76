"""GIF with one picture: read directly, written as PNG, because it has no room for what a result must carry.

Layout: CompuServe, Graphics Interchange Format 89a.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL.GifImagePlugin import GifImageFile

from pipeline.media.stills.limits import check_size
from pipeline.media.stills.metadata import Metadata
from pipeline.media.stills.png import CarriedPng, WrittenAsPng, png_chunks_of
from pipeline.media.stills.samples import luma_of_rgb, refuse, small_chroma, trailing, undecodable
from pipeline.media.stills.still import ColourModel, Still, Strip
from pipeline.results import Note, NoteKind

# Exceptions that Pillow was seen to raise on damaged files.
_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, TypeError)
_EXTENSION, _PICTURE, _END = 0x21, 0x2C, 0x3B
_COMMENT, _APPLICATION = 0xFE, 0xFF
_XMP, _ICC = b"XMP DataXMP", b"ICCRGBG1012"
# XMP in GIF is followed by bytes that lead a reader of sub-blocks to its end: 1, 255 down to 0.
_MAGIC_TRAILER = 257


@dataclass(frozen=True, kw_only=True)
class _Blocks:
    """The content of a GIF: complete pictures, whether another one breaks off, its comments and application data."""

    pictures: int
    breaks_off: bool
    comments: tuple[bytes, ...]
    applications: tuple[tuple[bytes, bytes], ...]
    extra: int


class GifFormat(WrittenAsPng):
    """GIF of one picture."""

    name = "GIF"
    suffixes = (".gif",)

    def sniff(self, head: bytes) -> bool:
        """Recognise the signature."""
        return head.startswith((b"GIF87a", b"GIF89a"))

    def read(self, path: Path, *, pixel_limit: int) -> Still:
        """Decode to luma and alpha. Raises `InputError`."""
        try:
            with GifImageFile(path) as image:
                size = image.size
        except _DECODER_ERRORS as error:
            raise undecodable(path, error) from error
        check_size(path, *size, pixel_limit=pixel_limit)
        blocks = _blocks(path.read_bytes())
        if blocks.pictures > 1:
            raise refuse(path, "is an animated GIF")
        notes = [Note(NoteKind.CONVERTED, "GIF is written as PNG")]
        if blocks.breaks_off:
            notes.append(Note(NoteKind.CONCEALED, "the GIF breaks off after its first picture, which is complete"))
        pixels = _pixels(path)
        alpha = pixels[..., 3].copy()
        metadata, more = _metadata(blocks)
        return Still(
            path=path,
            format=self,
            luma=luma_of_rgb(pixels),
            orientation=1,
            colour_model=ColourModel.RGB,
            alpha=None if alpha.min() == 255 else alpha,
            notes=(*notes, *more, *trailing("GIF", blocks.extra)),
            metadata=metadata,
            carried=CarriedPng(before=png_chunks_of(metadata)),
            chroma=small_chroma(pixels[..., :3]),
            own_rgb=partial(_rgb, path),
        )


GIF = GifFormat()


def _pixels(path: Path) -> Strip:
    """Return R, G, B and alpha of the first picture, (H, W, 4)."""
    try:
        with GifImageFile(path) as image:
            return np.asarray(image.convert("RGBA"))
    except _DECODER_ERRORS as error:
        raise undecodable(path, error) from error


def _rgb(path: Path) -> Strip:
    return np.ascontiguousarray(_pixels(path)[..., :3])


def _metadata(blocks: _Blocks) -> tuple[Metadata, tuple[Note, ...]]:
    """Return comments, XMP and profile in PNG's form, and notes on what is left behind."""
    comments = tuple(("PNG chunk iTXt", b"Comment\0\0\0\0\0" + _as_utf8(text)) for text in blocks.comments)
    known = dict(reversed(blocks.applications))
    notes = tuple(
        Note(NoteKind.DROPPED, f"GIF application data {name.decode('latin-1')!r} is not carried over")
        for name in known
        if name not in (_XMP, _ICC, b"NETSCAPE2.0", b"ANIMEXTS1.0")
    )
    return Metadata(profile=known.get(_ICC), xmp=known.get(_XMP), other=comments), notes


def _as_utf8(text: bytes) -> bytes:
    try:
        text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1").encode()
    return text


def _blocks(data: bytes) -> _Blocks:
    """Parse the blocks of a file to its end, or to where they break off."""
    comments: list[bytes] = []
    applications: list[tuple[bytes, bytes]] = []
    pictures, position = 0, 13 + _table(data[10:11])
    breaks_off, extra = False, 0
    try:
        while (kind := data[position]) != _END:
            if kind == _PICTURE:
                position, _ = _sub_blocks(data, position + 11 + _table(data[position + 9 : position + 10]))
                pictures += 1
            elif kind == _EXTENSION and data[position + 1] == _APPLICATION:
                name, start = data[position + 3 : position + 14], position + 14
                position, content = _sub_blocks(data, start)
                # XMP is stored without sub-blocks.
                content = data[start : max(start, position - _MAGIC_TRAILER - 1)] if name == _XMP else content
                applications.append((name, content))
            elif kind == _EXTENSION:
                label = data[position + 1]
                position, content = _sub_blocks(data, position + 2)
                if label == _COMMENT:
                    comments.append(content)
            else:
                position += 1
        extra = len(data[position + 1 :].rstrip(b"\0"))
    except IndexError:
        breaks_off = True
    return _Blocks(
        pictures=pictures,
        breaks_off=breaks_off,
        comments=tuple(comments),
        applications=tuple(applications),
        extra=extra,
    )


def _table(flags: bytes) -> int:
    """Return the size in bytes of the colour table announced by these flags."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _sub_blocks(data: bytes, position: int) -> tuple[int, bytes]:
    """Return where the sub-blocks end, and their content. Raises IndexError if they break off."""
    parts = []
    while size := data[position]:
        parts.append(data[position + 1 : position + 1 + size])
        position += 1 + size
    return position + 1, b"".join(parts)
