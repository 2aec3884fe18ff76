"""Join the luma scans of one JPEG with chroma planes of our own into a colour JPEG.

JPEG allows a separate scan for every component, so the coded luma of the source is kept byte for byte and decodes to
the same samples; only scans of Cb and Cr are added. Chroma has the full size of the picture (4:4:4): it was reduced for
each pixel's luma to stay inside the gamut, and averaging it over neighbours would undo that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from pipeline.media.stills.jpeg.segments import (
    DHT,
    DRI,
    EOI,
    PROGRESSIVE,
    SOI,
    Component,
    Frame,
    Scan,
    Segment,
    parse,
    quantisation_segment,
)

# T.81, table K.2 (typical chroma table), in rows.
_CHROMA_ROWS = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
) + ((99,) * 8,) * 4
# About quality 92 on the usual scale. Chroma is new here and costs little, so it need not repeat the source's savings.
_CHROMA_SCALE = 0.16
# Quantisation steps are at most this in blocks whose chroma is stored finely.
_FINE = 2
# Rows of blocks that are quantised at a time.
_ROWS = 32

# T.81, figure A.6: the row-order position of each entry in file order.
ZIGZAG = tuple(
    8 * y + x
    for y, x in sorted(
        ((y, x) for y in range(8) for x in range(8)),
        key=lambda at: (sum(at), at[1] if sum(at) % 2 == 0 else at[0]),
    )
)


def chroma_table(source: Sequence[int] | None) -> tuple[int, ...]:
    """Return the quantisation table for new chroma, in file order: never coarser than ``source``, the old one."""
    flat = [value for row in _CHROMA_ROWS for value in row]
    fine = tuple(max(1, round(flat[place] * _CHROMA_SCALE)) for place in ZIGZAG)
    return fine if source is None else tuple(min(pair) for pair in zip(fine, source, strict=True))


def stored_finely(
    planes: Sequence[NDArray[np.uint8]], table: Sequence[int], blocks: NDArray[np.bool_]
) -> tuple[int, ...]:
    """Return a table finer than ``table``, and change chroma ``planes`` (H, W) so that only ``blocks`` need its steps.

    ``blocks`` are squares of 8 pixels, (ceil(H / 8), ceil(W / 8)). A component has one table for the whole picture.
    Therefore, all other blocks are quantised beforehand, with the even steps next to those of ``table``, which the
    finer table reproduces; it has to code few values that are not 0 there.
    """
    if max(table) <= _FINE:
        return tuple(table)
    coarse = tuple(step if step <= _FINE else step - step % _FINE for step in table)
    for plane in planes:
        for row in range(0, len(blocks), _ROWS):
            part = plane[8 * row : 8 * (row + _ROWS)]
            is_fine = blocks[row : row + _ROWS].repeat(8, axis=0).repeat(8, axis=1)[: part.shape[0], : part.shape[1]]
            np.copyto(part, _quantised(part, coarse), where=~is_fine)
    return tuple(min(step, _FINE) for step in coarse)


def _quantised(plane: NDArray[np.uint8], table: Sequence[int]) -> NDArray[np.uint8]:
    with TemporaryFile() as file:
        Image.fromarray(plane).save(file, "JPEG", qtables=[_in_rows(table)])
        file.seek(0)
        with JpegImageFile(file) as image:
            return np.asarray(image)


def _in_rows(table: Sequence[int]) -> list[int]:
    """Convert a table from file order to rows, as required by Pillow."""
    rows = [0] * 64
    for value, place in zip(table, ZIGZAG, strict=True):
        rows[place] = value
    return rows


def grafted(
    applications: Sequence[Segment],
    frame: Frame,
    luma: Sequence[Scan],
    luma_table: Sequence[int],
    chroma: Sequence[NDArray[np.uint8]],
    table: Sequence[int],
) -> Iterator[bytes]:
    """Yield the pieces of the file, in order. ``chroma`` is Cb and Cr, (H, W) uint8; tables are in file order."""
    components = (Component(1, 1, 1, 0), Component(2, 1, 1, 1), Component(3, 1, 1, 1))
    yield bytes((0xFF, SOI))
    yield from (segment.tobytes() for segment in applications)
    yield quantisation_segment({0: tuple(luma_table), 1: tuple(table)}).tobytes()
    yield replace(frame, components=components).tobytes()
    for scan in luma:
        yield _of_component(scan, 1).tobytes()
    if any(segment.marker == DRI for scan in luma for segment in scan.tables):
        yield Segment(DRI, b"\0\0").tobytes()
    for name, plane in zip((2, 3), chroma, strict=True):
        for scan in coded(plane, table, progressive=frame.marker == PROGRESSIVE)[1]:
            yield _of_component(scan, name).tobytes()
    yield bytes((0xFF, EOI))


def luma_alone(frame: Frame, luma: Sequence[Scan], luma_table: Sequence[int]) -> bytes:
    """Return a grey JPEG of the luma scans, to check that they decode to the same as the source."""
    parts = [bytes((0xFF, SOI)), quantisation_segment({0: tuple(luma_table)}).tobytes()]
    parts.append(replace(frame, components=(Component(1, 1, 1, 0),)).tobytes())
    parts += [_of_component(scan, 1).tobytes() for scan in luma]
    return b"".join((*parts, bytes((0xFF, EOI))))


def coded(plane: NDArray[np.uint8], table: Sequence[int], *, progressive: bool) -> tuple[Frame, tuple[Scan, ...]]:
    """Encode ``plane`` (H, W) with a quantisation table in file order; return the frame and its scans.

    The scans have Huffman tables made for them, and no quantisation table.
    """
    # Into a real file Pillow encodes without blocking other threads. It has room for two bytes a pixel, whatever the
    # number of components.
    with TemporaryFile() as file:
        image = Image.fromarray(plane)
        image.save(file, "JPEG", qtables=[_in_rows(table)], optimize=True, progressive=progressive)
        file.seek(0)
        made = parse(file.read())
    huffman = [tuple(segment for segment in scan.tables if segment.marker == DHT) for scan in made.scans]
    return made.frame, tuple(replace(scan, tables=tables) for scan, tables in zip(made.scans, huffman, strict=True))


def _of_component(scan: Scan, name: int) -> Scan:
    return replace(scan, header=scan.header[:1] + bytes((name,)) + scan.header[2:])
