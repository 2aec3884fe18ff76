"""BMP: read directly, written as PNG, because it has no room for what a result must carry.

Layout: Microsoft, BITMAPINFOHEADER and BITMAPV5HEADER.
"""

from __future__ import annotations

import struct
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
from PIL.BmpImagePlugin import BmpImageFile

from pipeline.media.stills.bmp_fields import BitFields, bit_fields, row_bytes
from pipeline.media.stills.limits import check_size
from pipeline.media.stills.metadata import Metadata
from pipeline.media.stills.png import CarriedPng, WrittenAsPng, png_chunks_of
from pipeline.media.stills.samples import luma_of_rgb, refuse, small_chroma, trailing, undecodable
from pipeline.media.stills.still import ColourModel, Still, Strip
from pipeline.results import Note, NoteKind

_DECODER_ERRORS = (OSError, SyntaxError, ValueError, struct.error, IndexError)
_FILE_HEADER, _INFO_HEADER, _V4_HEADER, _V5_HEADER = 14, 40, 108, 124
# Compressions with pixels stored row by row, in whole 32-bit words: none, bit fields, bit fields with alpha.
_UNPACKED = (0, 3, 6)
_EMBEDDED, _LINKED, _CALIBRATED = b"DEBM", b"KNIL", bytes(4)


class BmpFormat(WrittenAsPng):
    """BMP of 1 to 32 bits a pixel."""

    name = "BMP"
    suffixes = (".bmp", ".dib")

    def sniff(self, head: bytes) -> bool:
        """Recognise the first two bytes."""
        return head.startswith(b"BM")

    def read(self, path: Path, *, pixel_limit: int) -> Still:
        """Decode to luma and alpha; samples become 8 bits, or 16 if they have more than 8.

        Raises `InputError`.
        """
        try:
            fields = bit_fields(path)
            with BmpImageFile(path) if fields is None else nullcontext(fields) as image:
                width, height = image.width, image.height
                mode = "RGB" if isinstance(image, BitFields) else image.mode
        except _DECODER_ERRORS as error:
            if "nsupported BMP" in str(error):
                raise refuse(path, f"is a BMP of a rare kind ({error})") from error
            raise undecodable(path, error) from error
        check_size(path, width, height, pixel_limit=pixel_limit)
        pixels, notes = _pixels(path, fields), [Note(NoteKind.CONVERTED, "BMP is written as PNG")]
        alpha = np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2] == 4 else None
        if alpha is not None and not alpha.any():
            alpha = None
            notes.append(Note(NoteKind.ASSUMED, "the alpha channel of the BMP is empty: treated as opaque"))
        metadata, more = _metadata(path)
        return Still(
            path=path,
            format=self,
            luma=luma_of_rgb(pixels),
            orientation=1,
            colour_model=ColourModel.RGB,
            alpha=alpha,
            notes=(*notes, *more),
            metadata=metadata,
            carried=CarriedPng(before=png_chunks_of(metadata)),
            chroma=None if mode in ("1", "L") else small_chroma(pixels),
            is_bilevel=mode == "1",
            own_rgb=partial(_rgb, path, fields),
        )


BMP = BmpFormat()


def _pixels(path: Path, fields: BitFields | None) -> Strip:
    """Return R, G and B, (H, W, 3), or with alpha, (H, W, 4)."""
    try:
        if fields is not None:
            return fields.pixels(path)
        with BmpImageFile(path) as image:
            return np.asarray(image if image.mode == "RGBA" else image.convert("RGB"))
    except _DECODER_ERRORS as error:
        raise undecodable(path, error) from error


def _rgb(path: Path, fields: BitFields | None) -> Strip:
    return np.ascontiguousarray(_pixels(path, fields)[..., :3])


def _metadata(path: Path) -> tuple[Metadata, tuple[Note, ...]]:
    """Return the header's resolution and ICC profile, in PNG's form, and notes on what is left behind."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<I", data, _FILE_HEADER)
    end = _picture_end(data, size)
    notes: list[Note] = []
    profile, other = None, []
    if size >= _INFO_HEADER:
        across, down = struct.unpack_from("<ii", data, _FILE_HEADER + 24)
        if across > 0 and down > 0:
            other.append(("PNG chunk pHYs", struct.pack(">IIB", across, down, 1)))
    space = data[_FILE_HEADER + 56 : _FILE_HEADER + 60] if size >= _V4_HEADER else b""
    if size >= _V5_HEADER and space in (_EMBEDDED, _LINKED):
        at, length = struct.unpack_from("<II", data, _FILE_HEADER + 112)
        end = max(end, _FILE_HEADER + at + length)
        if space == _EMBEDDED:
            profile = data[_FILE_HEADER + at : _FILE_HEADER + at + length] or None
    if space == _LINKED:
        notes.append(Note(NoteKind.DROPPED, "the BMP refers to a profile in another file, which is not carried over"))
    elif space == _CALIBRATED and any(data[_FILE_HEADER + 60 : _FILE_HEADER + 108]):
        notes.append(Note(NoteKind.DROPPED, "end points and gamma in the BMP header are not carried over"))
    behind = len(data[end:].rstrip(b"\0"))
    return Metadata(profile=profile, other=tuple(other)), (*notes, *trailing("BMP", behind))


def _picture_end(data: bytes, header: int) -> int:
    """Return where the pixels end; if the header does not tell, the stated or actual end of the file."""
    whole, start = struct.unpack_from("<I4xI", data, 2)
    if not start:
        return len(data)
    if header < _INFO_HEADER:
        width, height, bits = struct.unpack_from("<HH2xH", data, _FILE_HEADER + 4)
        packing = packed = 0
    else:
        width, height, bits, packing, packed = struct.unpack_from("<ii2xHII", data, _FILE_HEADER + 4)
    if packing in _UNPACKED:
        return int(start + row_bytes(width, bits) * abs(height))
    return int(start + packed if packed else max(whole, start))
