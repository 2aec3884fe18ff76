"""Supported film containers, as data: FFmpeg's demuxer, usual suffixes, and how such a file begins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_HEAD = 4096


@dataclass(frozen=True, kw_only=True)
class FilmFormat:
    """``demuxer`` is FFmpeg's name; ``signature`` matches the first bytes of a file, ``suffixes`` are lower case."""

    demuxer: str
    suffixes: tuple[str, ...]
    signature: re.Pattern[bytes]


def _format(demuxer: str, suffixes: str, signature: bytes) -> FilmFormat:
    return FilmFormat(
        demuxer=demuxer,
        suffixes=tuple(f".{suffix}" for suffix in suffixes.split()),
        signature=re.compile(signature, re.DOTALL),
    )


# Still pictures and sound use the MP4 container too; their brands are not those of films.
_NO_FILM = rb"(?!avif|avis|heic|heix|heim|heis|hevc|hevx|mif1|msf1|crx |jp2 |jpx |M4A |M4B |M4P |F4A |F4B )"
_ATOMS = rb"(?:moov|mdat|wide|free|skip|pnot|styp|moof)"

FILM_FORMATS = (
    _format("mov", "mp4 m4v mov qt 3gp 3g2", rb".{4}(?:ftyp" + _NO_FILM + rb"|" + _ATOMS + rb")"),
    _format("matroska", "mkv webm mk3d", rb"\x1a\x45\xdf\xa3"),
    _format("avi", "avi divx", rb"RIFF.{4}AVI "),
    # Plain packets of 188 bytes, or 192 with the arrival time before each.
    _format("mpegts", "ts m2ts mts m2t tod trp", rb"(?:\x47.{187}){4}\x47|(?:.{4}\x47.{187}){4}.{4}\x47"),
    _format("mpeg", "mpg mpeg mpe vob vro mod m2p", rb"\x00\x00\x01\xba|RIFF.{4}CDXA"),
    _format("mpegvideo", "m1v m2v mpv", rb"\x00\x00\x01\xb3"),
    # Sequence or object, then layer, of MPEG-4 Visual (ISO/IEC 14496-2, 6.2).
    _format("m4v", "m4e", rb"\x00\x00\x01(?:\xb0|[\x00-\x1f]\x00\x00\x01[\x20-\x2f])"),
    # Raw H.264 and HEVC: parameter sets (Rec. ITU-T H.264, 7.4.1; H.265, 7.4.2.2), after a delimiter or not.
    _format("h264", "h264 264 avc", rb"\x00?\x00\x00\x01(?:\x09.\x00?\x00\x00\x01)?[\x27\x47\x67]"),
    _format("hevc", "hevc h265 265 hvc", rb"\x00?\x00\x00\x01(?:\x46\x01.\x00?\x00\x00\x01)?[\x40\x42]\x01"),
    _format("ivf", "ivf", rb"DKIF\x00\x00"),
    _format("mxf", "mxf", rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02"),
    _format("asf", "wmv asf wm", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    _format("wtv", "wtv", rb"\xb7\xd8\x00\x20\x37\x49\xda\x11\xa6\x4e\x00\x07\xe9\x5e\xad\x8d"),
    _format("flv", "flv f4v", rb"FLV\x01"),
    _format("dv", "dv dif", rb"\x1f\x07\x00[\x3f\xbf]"),
    # The first pages start all streams, including those of sound and a skeleton.
    _format("ogg", "ogv ogm", rb"OggS.{1,2000}?(?:\x80theora|\x01video|BBCD\x00|\x80daala|OVP80)"),
    _format("gxf", "gxf", rb"\x00\x00\x00\x00\x01\xbc"),
    _format("rm", "rm rmvb", rb"\.RMF"),
    # Autodesk Animator; the fixed values are the file's kind, its depth and its flags.
    _format("flic", "fli flc flx", rb".{4}(?:\x11|\x12|\x44)\xaf.{6}\x08\x00[\x00-\x03]\x00"),
    _format("yuv4mpegpipe", "y4m", rb"YUV4MPEG2 "),
)  # fmt: skip

FILM_SUFFIXES = frozenset(suffix for known in FILM_FORMATS for suffix in known.suffixes)
FORMAT_WHITELIST = ",".join(known.demuxer for known in FILM_FORMATS)


def begins_like_film(path: Path) -> bool:
    """Return, by its first bytes, whether the file at ``path`` is in a known container. Raises `OSError`."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return any(known.signature.match(head) for known in FILM_FORMATS)
