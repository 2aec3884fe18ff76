"""What coded pictures say that no decoder needs to be asked for: captions, and the shape of the pixels."""

from __future__ import annotations

# ATSC A/53 Part 4, 6.2.3: user data that hold captions begin like this in every codec; in MPEG-2 also those of DVDs.
_CAPTIONS = b"GA94\x03"
_DVD_CAPTIONS = b"\x00\x00\x01\xb2CC\x01\xf8"
_CAPTIONED = ("mpeg2video", "mpeg1video", "h264", "hevc", "vvc", "av1")
# ITU-T H.262, 6.2.2.1: the header of a sequence; behind 12 bits each for width and height, 4 bits for the aspect ratio.
_SEQUENCE_HEADER = b"\x00\x00\x01\xb3"
_SEQUENCE_LENGTH = 8


def holds_captions(data: bytes, codec: str) -> bool:
    """Tell whether a coded picture carries closed captions (EIA-608 or 708) that are not all padding."""
    if codec not in _CAPTIONED:
        return False
    place = data.find(_CAPTIONS)
    return (place >= 0 and _says_something(data[place + len(_CAPTIONS) :])) or (
        codec == "mpeg2video" and _DVD_CAPTIONS in data
    )


def _says_something(captions: bytes) -> bool:
    """Tell whether one of the triplets of cc_data (ATSC A/53 Part 4, 6.2.3.1) is valid and no padding."""
    count = captions[0] & 0x1F if captions else 0
    triplets = (captions[2 + 3 * n : 5 + 3 * n] for n in range(count))
    return any(len(t) == 3 and t[0] & 4 and (t[1] & 0x7F or t[2] & 0x7F) for t in triplets)


def mpeg_shape(data: bytes, codec: str) -> tuple[int, int, int] | None:
    """Return width, height and aspect ratio code of an MPEG-2 picture with a sequence header, otherwise None."""
    place = data.find(_SEQUENCE_HEADER) if codec == "mpeg2video" else -1
    header = data[place : place + _SEQUENCE_LENGTH]
    if place < 0 or len(header) < _SEQUENCE_LENGTH:
        return None
    sizes = int.from_bytes(header[4:7])
    return sizes >> 12, sizes & 0xFFF, header[7] >> 4
