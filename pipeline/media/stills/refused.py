"""Formats that are recognised and refused by name, as data: first bytes, suffixes, and what to do instead."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

_CONVERT = "Convert it to TIFF or PNG first."
_DEVELOP = "Develop it to TIFF first, and colour that."


@dataclass(frozen=True)
class RefusedFormat:
    """``magics``: (offset, bytes), any of which identifies it; empty if only the suffix does."""

    name: str
    suffixes: tuple[str, ...]
    magics: tuple[tuple[int, bytes], ...]
    advice: str = _CONVERT

    def sniff(self, head: bytes) -> bool:
        """Return whether a file with these first bytes is of this format."""
        return any(head[offset : offset + len(magic)] == magic for offset, magic in self.magics)


_FTYP = 4
# Some raw files look like TIFF files and are refused by their tags. Their suffixes are listed here.
REFUSED = (
    RefusedFormat("camera raw (Adobe DNG)", (".dng",), (), _DEVELOP),
    RefusedFormat(
        "camera raw (Canon)",
        (".cr2", ".cr3", ".crw"),
        ((8, b"CR\2\0"), (_FTYP, b"ftypcrx "), (6, b"HEAPCCDR")),
        _DEVELOP,
    ),
    RefusedFormat("camera raw (Nikon)", (".nef", ".nrw"), (), _DEVELOP),
    RefusedFormat("camera raw (Sony)", (".arw", ".srf", ".sr2"), (), _DEVELOP),
    RefusedFormat("camera raw (Pentax)", (".pef",), (), _DEVELOP),
    RefusedFormat("camera raw (Samsung)", (".srw",), (), _DEVELOP),
    RefusedFormat("camera raw (Hasselblad)", (".3fr", ".fff"), (), _DEVELOP),
    RefusedFormat("camera raw (Kodak)", (".dcr", ".kdc"), (), _DEVELOP),
    RefusedFormat("camera raw (Phase One)", (".iiq",), (), _DEVELOP),
    RefusedFormat("camera raw (Fujifilm)", (".raf",), ((0, b"FUJIFILMCCD-RAW"),), _DEVELOP),
    RefusedFormat("camera raw (Olympus)", (".orf",), ((0, b"IIRO"), (0, b"IIRS"), (0, b"MMOR")), _DEVELOP),
    RefusedFormat("camera raw (Panasonic)", (".rw2",), ((0, b"IIU\0"),), _DEVELOP),
    RefusedFormat("camera raw (Sigma)", (".x3f",), ((0, b"FOVb"),), _DEVELOP),
    RefusedFormat("camera raw (Minolta)", (".mrw",), ((0, b"\0MRM"),), _DEVELOP),
    RefusedFormat(
        "a bare JPEG 2000 codestream", (".j2k", ".j2c", ".jpc"), ((0, b"\xff\x4f\xff\x51"),), "Put it into a .jp2 file."
    ),
    RefusedFormat("JPEG XL", (".jxl",), ((0, b"\xff\x0a"), (0, b"\x00\x00\x00\x0cJXL "))),
    RefusedFormat("JPEG XR", (".jxr", ".wdp", ".hdp"), ((0, b"II\xbc"),)),
    RefusedFormat("JPEG-LS", (".jls",), ((0, b"\xff\xd8\xff\xf7"),)),
    RefusedFormat("Photoshop", (".psd", ".psb"), ((0, b"8BPS"),)),
    RefusedFormat("GIMP", (".xcf",), ((0, b"gimp xcf"),)),
    RefusedFormat("PDF", (".pdf",), ((0, b"%PDF"),)),
    RefusedFormat("PostScript", (".eps",), ((0, b"%!PS"), (0, b"\xc5\xd0\xd3\xc6"))),
    RefusedFormat("DDS", (".dds",), ((0, b"DDS "),)),
    RefusedFormat("OpenEXR", (".exr",), ((0, b"v/1\x01"),)),
    RefusedFormat("Radiance HDR", (".hdr",), ((0, b"#?RADIANCE"), (0, b"#?RGBE"))),
    RefusedFormat("DPX", (".dpx",), ((0, b"SDPX"), (0, b"XPDS"))),
    RefusedFormat("FITS", (".fits", ".fit"), ((0, b"SIMPLE  ="),)),
    RefusedFormat("DjVu", (".djvu", ".djv"), ((0, b"AT&TFORM"),)),
    RefusedFormat(
        "Netpbm",
        (".pbm", ".pgm", ".ppm", ".pnm", ".pam"),
        tuple((0, b"P" + kind + end) for kind in (b"1", b"2", b"3", b"4", b"5", b"6", b"7") for end in (b"\n", b" ")),
    ),
    RefusedFormat("PCX", (".pcx",), tuple((0, b"\n" + bytes(kind)) for kind in product((0, 2, 3, 5), (0, 1)))),
    RefusedFormat("Sun raster", (".ras",), ((0, b"\x59\xa6\x6a\x95"),)),
    RefusedFormat("SGI", (".sgi",), ((0, b"\x01\xda"),)),
    RefusedFormat("Targa", (".tga",), ()),
    RefusedFormat("Kodak PhotoCD", (".pcd",), ()),
)
# Tried after the formats that are read, some of which begin in the same way.
FILM = RefusedFormat("a film, or HEIF of an unknown kind", (), ((_FTYP, b"ftyp"),))
