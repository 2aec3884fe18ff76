"""JPEG 2000 photographs (.jp2): decoded by OpenJPEG, written losslessly, with every other box carried over."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
from numpy.typing import NDArray

from pipeline.media.stills.exif import orientation_of
from pipeline.media.stills.jp2_boxes import (
    EXIF_UUID,
    SIGNATURE,
    XMP_UUID,
    Box,
    Codestream,
    DamagedJp2Error,
    read_boxes,
    read_codestream,
)
from pipeline.media.stills.limits import check_size
from pipeline.media.stills.metadata import Metadata
from pipeline.media.stills.samples import damaged, planes, refuse, trailing, undecodable
from pipeline.media.stills.still import ColourModel, Page, PageCheck, Still, StillFormat
from pipeline.media.stills.verification import Found, verify_lossless
from pipeline.results import Note, NoteKind

# OpenJPEG uses four bytes per sample.
_PIXEL_LIMIT = 120_000_000
_FILE_LIMIT = 2 << 30
_SRGB, _GREY = 16, 17
_ENUMERATED, _RESTRICTED_ICC, _ANY_ICC = 1, 2, 3
_REFUSED_SPACES = {12: "CMYK", 14: "L*a*b*", 18: "YCbCr"}
# Of a box that defines channels: number, type, and which colour, from 1 on.
_CHANNEL, _COLOUR = struct.Struct(">HHH"), 0
# Boxes of the header that describe the old samples; the result has its own.
_PICTURE, _OWN_UUIDS = (b"jp2c", b"jp2h"), (EXIF_UUID, XMP_UUID)
_REPLACED = (b"ihdr", b"bpcc", b"colr", b"pclr", b"cmap", b"cdef")


@dataclass(frozen=True, kw_only=True, eq=False)
class CarriedJp2:
    """All boxes of the source in order, with an empty codestream box, and those inside its header box."""

    boxes: tuple[Box, ...]
    header: tuple[Box, ...]

    @property
    def metadata(self) -> Metadata:
        """Profile, EXIF, XMP, and all boxes that do not describe the samples."""
        kept = [box for box in self.boxes if box.kind not in _PICTURE and not box.data.startswith(_OWN_UUIDS)]
        kept += [box for box in self.header if box.kind not in _REPLACED]
        return Metadata(
            profile=_profile(self.header),
            exif=_uuid(self.boxes, EXIF_UUID),
            xmp=_uuid(self.boxes, XMP_UUID),
            other=tuple((f"JPEG 2000 box {box.kind.decode('latin-1')}", box.data) for box in kept),
        )


class Jp2Format(StillFormat):
    """JPEG 2000 in JP2 files; results are lossless."""

    name = "JPEG 2000"
    suffixes = (".jp2", ".jpf", ".jpx")

    def sniff(self, head: bytes) -> bool:
        """Recognise the signature box."""
        return head.startswith(SIGNATURE)

    def read(self, path: Path, *, pixel_limit: int) -> Still:
        """Decode to luma. Raises `InputError`."""
        if path.stat().st_size > _FILE_LIMIT:
            raise refuse(path, "is a JPEG 2000 of more than 2 GB")
        data = path.read_bytes()
        carried, codestream, coded, extra = _taken_apart(path, data)
        check_size(path, coded.width, coded.height, pixel_limit=min(pixel_limit, _PIXEL_LIMIT))
        _check_kind(path, coded, carried.header)
        del data
        luma, alpha, chroma = planes(_decoded(path, codestream, coded))
        del codestream
        orientation, notes = orientation_of(carried.metadata.exif)
        if not coded.is_reversible:
            text = "lossy JPEG 2000 is written without loss, so that its luma stays: the file grows"
            notes = (*notes, Note(NoteKind.CONVERTED, text))
        return Still(
            path=path,
            format=self,
            luma=luma,
            orientation=orientation,
            colour_model=ColourModel.RGB,
            alpha=alpha,
            notes=(*notes, *trailing("JPEG 2000", extra)),
            metadata=carried.metadata,
            carried=carried,
            chroma=chroma,
        )

    def write(self, path: Path, pages: Sequence[Page]) -> tuple[Note, ...]:
        """Write R, G and B losslessly, with the source's boxes."""
        (page,) = pages
        still = page.still
        carried = still.carried_as(CarriedJp2)
        metadata, notes = page.metadata
        boxes = _with_metadata(carried.boxes, metadata)
        coded = _coded(page.whole())
        with path.open("wb") as file:
            for box in boxes:
                if box.kind == b"jp2h":
                    file.write(_header(still, carried.header, metadata.profile).tobytes())
                else:
                    file.write((Box(b"jp2c", coded) if box.kind == b"jp2c" else box).tobytes())
        return notes

    def verify(self, path: Path, pages: Sequence[Page]) -> tuple[PageCheck, ...]:
        """Decode the file and compare it with what should have been written."""
        (page,) = pages
        data = path.read_bytes()
        carried, codestream, coded, _ = _taken_apart(path, data)
        orientation, _ = orientation_of(carried.metadata.exif)
        found = Found(pixels=_decoded(path, codestream, coded), orientation=orientation, metadata=carried.metadata)
        return (verify_lossless(path, page, found),)


JPEG_2000 = Jp2Format()


def _taken_apart(path: Path, data: bytes) -> tuple[CarriedJp2, bytes, Codestream, int]:
    """Return all boxes except the codestream, the codestream, its header, and how many bytes follow the file's end."""
    try:
        boxes, extra = read_boxes(data)
        codestreams = [box.data for box in boxes if box.kind == b"jp2c"]
        header, _ = read_boxes(next((box.data for box in boxes if box.kind == b"jp2h"), b""))
        if len(codestreams) != 1 or not header:
            if extra and not codestreams:
                raise damaged(path, "cannot be decoded: it breaks off")
            tell = refuse if codestreams else damaged
            raise tell(path, f"is a JPEG 2000 of {len(codestreams)} pictures")
        coded = read_codestream(codestreams[0])
    except DamagedJp2Error as error:
        raise undecodable(path, error) from error
    kept = (Box(box.kind, b"") if box.kind == b"jp2c" else box for box in boxes)
    return CarriedJp2(boxes=tuple(kept), header=tuple(header)), codestreams[0], coded, extra


def _decoded(path: Path, codestream: bytes, coded: Codestream) -> NDArray[Any]:
    """Return the stored samples: for a whole file the decoder would apply the profile, which stays with them."""
    try:
        pixels: NDArray[Any] = imagecodecs.jpeg2k_decode(codestream)
    except (RuntimeError, ValueError) as error:
        raise undecodable(path, error) from error
    if pixels.shape[:2] != (coded.height, coded.width):
        raise damaged(path, f"decodes to {pixels.shape[:2]}, its header says {coded.height} x {coded.width}")
    return pixels


def _coded(pixels: NDArray[Any]) -> bytes:
    # Each resolution halves the sides; too many for a small picture are an error.
    resolutions = max(1, min(6, min(pixels.shape[:2]).bit_length() - 1))
    return bytes(
        imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True, resolutions=resolutions)
    )


def _check_kind(path: Path, coded: Codestream, header: tuple[Box, ...]) -> None:
    kinds = {box.kind for box in header}
    if b"pclr" in kinds:
        raise refuse(path, "is a JPEG 2000 with a palette")
    if not _is_in_order(next((box.data for box in header if box.kind == b"cdef"), b"")):
        raise refuse(path, "is a JPEG 2000 whose colours are stored in another order")
    space = next((box.data for box in header if box.kind == b"colr"), b"")
    if len(space) >= 7 and space[0] == _ENUMERATED:
        (number,) = struct.unpack_from(">I", space, 3)
        if number not in (_SRGB, _GREY):
            raise refuse(path, f"is a JPEG 2000 of {_REFUSED_SPACES.get(number, f'colour space {number}')} samples")
    if len(coded.depths) not in (1, 3):
        raise refuse(path, f"is a JPEG 2000 of {len(coded.depths)} components (with transparency, CMYK or the like)")
    if set(coded.depths) not in ({8}, {16}):
        form = "signed " if min(coded.depths) < 0 else ""
        raise refuse(path, f"is a JPEG 2000 of {abs(coded.depths[0])}-bit {form}samples")
    if coded.is_subsampled:
        raise refuse(path, "is a JPEG 2000 with components of different sizes")


def _is_in_order(channels: bytes) -> bool:
    """Tell whether a box that defines channels, if there is one, says that the first is the first colour, and so on."""
    defined = (_CHANNEL.unpack_from(channels, at) for at in range(2, len(channels) - _CHANNEL.size + 1, _CHANNEL.size))
    return not any(kind == _COLOUR and place - 1 in range(3) and place != number + 1 for number, kind, place in defined)


def _header(still: Still, former: tuple[Box, ...], icc: bytes | None) -> Box:
    """Return the result's header box: size, three components, its colour space, and other content of the source's."""
    colour = struct.pack(">BbBI", _ENUMERATED, 0, 0, _SRGB)
    if icc is not None:
        colour = struct.pack(">BbB", _RESTRICTED_ICC, 0, 0) + icc
    size = struct.pack(">IIHBBBB", still.height, still.width, 3, still.bits - 1, 7, 0, 0)
    made = [Box(b"ihdr", size), Box(b"colr", colour)]
    return Box(b"jp2h", b"".join(box.tobytes() for box in (*made, *(b for b in former if b.kind not in _REPLACED))))


def _profile(header: tuple[Box, ...]) -> bytes | None:
    for box in header:
        if box.kind == b"colr" and box.data[:1] in (bytes((_RESTRICTED_ICC,)), bytes((_ANY_ICC,))):
            return box.data[3:]
    return None


def _uuid(boxes: tuple[Box, ...], name: bytes) -> bytes | None:
    found = next((box.data for box in boxes if box.kind == b"uuid" and box.data.startswith(name)), None)
    return None if found is None else found[len(name) :]


def _with_metadata(boxes: tuple[Box, ...], metadata: Metadata) -> tuple[Box, ...]:
    """Replace EXIF and XMP of the source by those of the result; new ones go before the codestream."""
    for name, data in ((EXIF_UUID, metadata.exif), (XMP_UUID, metadata.xmp)):
        if data is None:
            continue
        places = [at for at, box in enumerate(boxes) if box.kind == b"uuid" and box.data.startswith(name)]
        at = places[0] if places else next(at for at, box in enumerate(boxes) if box.kind == b"jp2c")
        boxes = (*boxes[:at], Box(b"uuid", name + data), *boxes[at + len(places[:1]) :])
    return boxes
