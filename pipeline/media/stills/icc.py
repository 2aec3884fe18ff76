"""ICC profiles: which one may stay on a coloured picture, and a colour profile that keeps a grey one's tones.

Layout: ICC.1:2001-04 and ICC.1:2022 (versions 2 and 4), sections 7 to 10.
"""

from __future__ import annotations

import struct

from pipeline.results import Note, NoteKind

_HEADER = 128

# sRGB primaries adapted to D50 (Bradford), as s15Fixed16; the three add up to the D50 white of the header exactly,
# so that R = G = B stays on the grey axis to the last bit.
_D50 = (0xF6D6, 0x10000, 0xD32D)
_RED = (0x6FA2, 0x38F5, 0x0390)
_GREEN = (0x6299, 0xB785, 0x18DA)
_BLUE = tuple(white - red - green for white, red, green in zip(_D50, _RED, _GREEN, strict=True))

_COPIED = (b"cprt", b"wtpt", b"bkpt", b"chad")


class DamagedProfileError(ValueError):
    """Bytes that are not an ICC profile."""


def profile_for_colour(profile: bytes | None) -> tuple[bytes | None, tuple[Note, ...]]:
    """Give the profile the coloured picture carries in place of ``profile``, and what has to be said about it.

    RGB profiles are kept byte for byte. A grey profile becomes an RGB one with the same tone curve, so every grey
    keeps its meaning. Anything else cannot describe an RGB picture and is dropped.
    """
    if profile is None:
        return None, ()
    try:
        space = colour_space(profile)
        if space == "RGB":
            return profile, ()
        if space == "GRAY":
            return rgb_from_grey(profile), (
                Note(NoteKind.CONVERTED, "grey ICC profile became an RGB one with the same tone curve"),
            )
    except DamagedProfileError as error:
        return None, (Note(NoteKind.DROPPED, f"ICC profile: {error}"),)
    return None, (Note(NoteKind.DROPPED, f"ICC profile for {space} cannot describe an RGB picture"),)


def colour_space(profile: bytes) -> str:
    """Read the data colour space the header names, such as "RGB" or "GRAY". Raises `DamagedProfileError`."""
    if len(profile) < _HEADER + 4 or profile[36:40] != b"acsp":
        raise DamagedProfileError("damaged")
    return profile[16:20].decode("ascii", "replace").strip()


def rgb_from_grey(profile: bytes) -> bytes:
    """Build an RGB matrix profile: sRGB primaries, three times the tone curve of the grey profile, byte for byte.

    Raises `DamagedProfileError` if the grey profile is not built on a tone curve to XYZ.
    """
    tags = _tags(profile)
    curve = tags.get(b"kTRC")
    if curve is None or curve[:4] not in (b"curv", b"para") or profile[20:24] != b"XYZ ":
        raise DamagedProfileError("its greys are not described by a tone curve")
    modern = profile[8] >= 4
    name = "Grey tone curve with sRGB primaries"
    made = {tag: tags[tag] for tag in _COPIED if tag in tags}
    made[b"desc"] = _text_v4(name) if modern else _text_v2(name)
    made.setdefault(b"cprt", _text_v4("CC0") if modern else b"text" + bytes(4) + b"CC0\0")
    made.setdefault(b"wtpt", _xyz(_D50))
    made |= {b"rXYZ": _xyz(_RED), b"gXYZ": _xyz(_GREEN), b"bXYZ": _xyz(_BLUE)}
    made |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    return _assemble(profile, made)


def _assemble(source: bytes, tags: dict[bytes, bytes]) -> bytes:
    table = struct.pack(">I", len(tags))
    body = b""
    placed: dict[bytes, int] = {}
    start = _HEADER + 4 + 12 * len(tags)
    for tag, data in tags.items():
        if data not in placed:
            placed[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        table += tag + struct.pack(">II", placed[data], len(data))
    header = bytearray(source[:_HEADER])
    header[0:4] = struct.pack(">I", start + len(body))
    header[12:20] = (b"scnr" if source[12:16] == b"scnr" else b"mntr") + b"RGB "
    # The preferred module, the device, the creator and the profile ID belong to the profile this one was made from.
    for first, last in ((4, 8), (48, 56), (80, 100)):
        header[first:last] = bytes(last - first)
    return bytes(header) + table + body


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (number,) = struct.unpack_from(">I", profile, _HEADER)
    if number > 1000 or _HEADER + 4 + 12 * number > len(profile):
        raise DamagedProfileError("damaged")
    tags = {}
    for index in range(number):
        name, offset, size = struct.unpack_from(">4sII", profile, _HEADER + 4 + 12 * index)
        if offset + size > len(profile):
            raise DamagedProfileError("damaged")
        tags[name] = profile[offset : offset + size]
    return tags


def _xyz(values: tuple[int, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *values)


def _text_v2(text: str) -> bytes:
    raw = text.encode("ascii") + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(raw)) + raw + bytes(8 + 3 + 67)


def _text_v4(text: str) -> bytes:
    raw = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(raw), 28) + raw
