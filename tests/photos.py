"""Synthetic photographs for tests: a scene with edges, texture and clipped whites, in every readable format."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

WIDTH, HEIGHT = 173, 118
DPI = 600
# IPTC-IIM: a headline and the day the picture was taken.
IPTC = b"\x1c\x02\x69\0\x07Harbour" + b"\x1c\x02\x37\0\x0819120501"
XMP_TITLE = "Harbour, 1912"
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="ScanWorks 3"><dc:title><rdf:Alt>'
    f'<rdf:li xml:lang="x-default">{XMP_TITLE}</rdf:li></rdf:Alt></dc:title>'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
    '<?xpacket end="w"?>'
).encode()


def scene(*, bits: int = 8, width: int = WIDTH, height: int = HEIGHT) -> NDArray[Any]:
    """Grey codes (height, width), uint8 or uint16: a sky, a horizon, grain, and a blown-out light."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:height, :width] / max(width, height)
    light = 0.75 - 0.6 * y + 0.08 * np.sin(40 * x * (1 + y)) + rng.normal(0, 0.02, (height, width))
    light[(x - 0.3) ** 2 + (y - 0.2) ** 2 < 0.01] = 1.2
    light[(y > 0.45) & (x > 0.6)] -= 0.5
    top = (1 << bits) - 1
    return np.rint(np.clip(light, 0, 1) * top).astype(np.uint8 if bits == 8 else np.uint16)


def sepia(grey: NDArray[Any]) -> NDArray[Any]:
    """RGB (H, W, 3) of the same dtype, toned brown."""
    top = np.iinfo(grey.dtype).max
    tone = np.array([1.07, 0.98, 0.82])
    return np.rint(np.clip(grey[..., None] * tone, 0, top)).astype(grey.dtype)


def tinted(luma: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Synthetic chroma (Cb, Cr) in codes around zero, faded towards black and white so that RGB never clips."""
    height, width = luma.shape
    top = float(np.iinfo(luma.dtype).max)
    y, x = np.mgrid[:height, :width]
    room = np.minimum(luma, top - luma) / 2
    reach = np.minimum(room, 0.12 * top)
    return reach * np.sin(x / 31), reach * np.cos(y / 23)


def rgb_of(luma: NDArray[Any], cb: NDArray[Any], cr: NDArray[Any]) -> NDArray[Any]:
    """BT.601 RGB (H, W, 3) in the dtype of ``luma``."""
    red = luma + 1.402 * cr
    green = luma - (0.114 * 1.772 * cb + 0.299 * 1.402 * cr) / 0.587
    blue = luma + 1.772 * cb
    rgb = np.rint(np.dstack((red, green, blue)))
    return np.clip(rgb, 0, np.iinfo(luma.dtype).max).astype(luma.dtype)


def exif(*, orientation: int = 6) -> bytes:
    """EXIF with orientation, maker, and an exposure in its sub-directory, as Pillow writes it (with its prefix)."""
    block = Image.Exif()
    block[274] = orientation
    block[271] = "Voigt & Sohn"
    block.get_ifd(34665)[33434] = (1, 25)
    raw: bytes = block.tobytes()
    return raw


@cache
def srgb_profile() -> bytes:
    """The ICC profile of sRGB, always the same: LittleCMS writes the time into it."""
    profile: bytes = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile


def grey_profile(*, gamma: float = 1.8, tags: dict[bytes, bytes] | None = None) -> bytes:
    """A version 2 grey ICC profile with a gamma curve, or with other ``tags`` instead."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    return profile_of("GRAY", {b"kTRC": curve} if tags is None else tags)


def dot_gain_profile() -> bytes:
    """A version 2 grey ICC profile with a sampled curve like that of ink on paper: midtones darker than a gamma's."""
    ink = 1 - np.linspace(0, 1, 256)
    printed = ink + 0.2 * 4 * ink * (1 - ink)
    samples = np.rint((1 - np.minimum(printed, 1)) * 65535).astype(">u2").tobytes()
    return grey_profile(tags={b"kTRC": b"curv" + bytes(4) + struct.pack(">I", 256) + samples})


def profile_of(space: str, tags: dict[bytes, bytes]) -> bytes:
    """A version 2 ICC profile of ``space`` ("RGB " or "GRAY") with ``tags`` beside the required ones."""
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    name = b"Test\0"
    text = b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(8 + 3 + 67)
    parts = {b"desc": text + bytes(-len(text) % 4), b"cprt": b"text" + bytes(4) + b"CC0\0", b"wtpt": white} | tags
    start = 132 + 12 * len(parts)
    table, body = struct.pack(">I", len(parts)), b""
    for tag, data in parts.items():
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    kind = b"scnr" if space == "GRAY" else b"mntr"
    header = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x02400000, kind, space.encode(), b"XYZ ")
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp")
    header = header.ljust(68, b"\0") + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(128, b"\0") + table + body


D50 = (0.9642, 1.0, 0.8249)
# Chromaticities of red, green, blue and white, and a gamma, of well-known working spaces.
WORKING_SPACES = {
    "Adobe RGB": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290), 2.19921875),
    "Display P3": ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.3127, 0.3290), 2.2),
    "ProPhoto": ((0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105), (0.345704, 0.35854), 1.8),
}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def _xyz(x: float, y: float) -> NDArray[Any]:
    return np.array([x / y, 1, (1 - x - y) / y])


def working_space(name: str) -> bytes:
    """A version 2 RGB ICC profile of primaries and a gamma curve."""
    *primaries, white, gamma = WORKING_SPACES[name]
    columns = np.stack([_xyz(*primary) for primary in primaries], axis=1)
    columns = columns * np.linalg.solve(columns, _xyz(*white))
    scale = (_BRADFORD @ D50) / (_BRADFORD @ _xyz(*white))
    columns = np.linalg.inv(_BRADFORD) @ np.diag(scale) @ _BRADFORD @ columns
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {tag: _xyz_tag(column) for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True)}
    return profile_of("RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def table_profile(*, gamma: float = 2.2) -> bytes:
    """A version 2 RGB ICC profile that is a table (sRGB primaries and a gamma, in XYZ), as used by scanners."""
    srgb = np.array([[0.4360, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
    grid = np.array([[r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)]) @ srgb.T
    inputs = np.tile(np.linspace(0, 1, 256) ** gamma * 65535, 3)
    outputs = np.tile([0, 65535], 3)
    numbers = np.rint(np.concatenate([inputs, grid.ravel() * 32768, outputs])).astype(">u2").tobytes()
    head = b"mft2" + bytes(4) + bytes((3, 3, 2, 0)) + struct.pack(">9i", *(np.eye(3).ravel() * 65536).astype(int))
    return profile_of("RGB ", {b"A2B0": head + struct.pack(">HH", 256, 2) + numbers})


def _xyz_tag(values: NDArray[Any]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *np.rint(values * 65536).astype(int))


def save(path: Path, pixels: NDArray[Any] | Image.Image, **options: Any) -> Path:
    """Write with Pillow, the format taken from the suffix."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def save_with_metadata(path: Path, pixels: NDArray[Any], *, icc: bytes | None = None, **options: Any) -> Path:
    """Write with Pillow: EXIF rotated by 90 degrees, XMP with a title, 600 dpi, and ``icc``."""
    if path.suffix == ".png":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        return save(path, pixels, exif=exif(), pnginfo=info, dpi=(DPI, DPI), icc_profile=icc, **options)
    return save(path, pixels, exif=exif(), xmp=XMP, dpi=(DPI, DPI), icc_profile=icc, **options)


def save_tiff(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    """Write with tifffile: 600 dpi, XMP with a title, software and date, rotated by 90 degrees."""
    tags = [(700, 1, len(XMP), XMP, True), (274, 3, 1, 6, True)]
    described = {"description": "Harbour", "software": "ScanWorks 3", "datetime": "2024:05:01 10:00:00"}
    options = {"photometric": "minisblack" if pixels.ndim == 2 else "rgb", "metadata": None} | options
    resolution = {"resolution": (DPI, DPI), "resolutionunit": 2}
    tifffile.imwrite(path, pixels, extratags=tags, **resolution, **described, **options)
    return path


def box(kind: bytes, data: bytes) -> bytes:
    """A box of a JPEG 2000 file."""
    return struct.pack(">I4s", len(data) + 8, kind) + data


def save_jp2(path: Path, pixels: NDArray[Any], *, icc: bytes | None = None, **options: Any) -> Path:
    """Write with OpenJPEG, then add metadata as cameras and scanners do: 600 dpi, EXIF, IPTC, XMP title, a note."""
    coded = bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", **({"level": 0, "reversible": True} | options)))
    channels = 1 if pixels.ndim == 2 else 3
    size = struct.pack(">IIHBBBB", *pixels.shape[:2], channels, 8 * pixels.dtype.itemsize - 1, 7, 0, 0)
    colour = b"\x01\0\0" + struct.pack(">I", 17 if channels == 1 else 16) if icc is None else b"\x02\0\0" + icc
    metre = round(DPI / 0.0254)
    resolution = box(b"res ", box(b"resc", struct.pack(">4H2b", metre, 1, metre, 1, 0, 0)))
    header = box(b"jp2h", box(b"ihdr", size) + box(b"colr", colour) + resolution)
    names = b"JpgTiffExif->JP2", bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
    extras = box(b"uuid", names[0] + exif().removeprefix(b"Exif\0\0")) + box(b"uuid", names[1] + IPTC)
    extras += box(b"uuid", bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + XMP)
    start = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    path.write_bytes(start + header + extras + box(b"jp2c", coded) + box(b"xml ", b"<note>Box 12</note>"))
    return path


def xmp_of(path: Path) -> bytes:
    """The XMP packet that Pillow finds."""
    with Image.open(path) as image:
        image.load()
        packet: bytes = image.info.get("xmp", b"")
        return packet


def jpeg_bytes(pixels: NDArray[Any] | Image.Image, **options: Any) -> bytes:
    """A JPEG file in memory."""
    file = BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, "JPEG", **options)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """The beginning of a PNG that claims ``width`` x ``height`` pixels but contains none."""
    data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + data + struct.pack(">I", zlib.crc32(data))
