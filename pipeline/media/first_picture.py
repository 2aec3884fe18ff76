"""Find the picture stream of a film, and its first picture, which has data that headers omit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import av
import av.container

from pipeline.errors import InputError, UnreadableError, UnsupportedError
from pipeline.media.encryption import is_protected
from pipeline.media.fragments import separated
from pipeline.media.source import MAX_PIXELS, AnyPacket, bound_pixels, demux, demux_all, open_source, reporting

ATTACHED = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
# Enough to distinguish a cover of one picture from a film if the header does not count frames.
_COUNTED_PACKETS = 2000
# Packets read for the first picture are kept for the scan of all packets, unless it comes very late.
_KEPT_BYTES = 64 << 20


def encrypted(path: Path) -> InputError:
    """Return the error for an encrypted film."""
    return InputError(
        f"{path}: is encrypted", advice="Colour a copy without protection, or leave it out with --exclude."
    )


@contextmanager
def naming_cause(path: Path) -> Iterator[None]:
    """Replace an error of damage raised in the block if the film is marked as protected, or as only a part."""
    try:
        yield
    except (UnreadableError, UnsupportedError):
        raise
    except InputError as error:
        with reporting(path):
            if not path.is_file():
                raise
            if is_protected(path):
                raise encrypted(path) from error
            part = separated(path)
        if part is not None:
            raise part from error
        raise


def picture_stream(path: Path, container: av.container.InputContainer) -> av.VideoStream:
    """Return the stream of a film to be coloured. Raises `InputError` if none can be."""
    candidates = [s for s in container.streams.video if not s.disposition & ATTACHED]
    if not candidates:
        raise UnsupportedError(
            f"{path}: holds no moving picture", advice="Sound files and single pictures are not films."
        )
    candidates = _moving(path, candidates)
    stream = next((s for s in candidates if s.disposition & av.stream.Disposition.default), candidates[0])
    if stream.codec_context is None:
        raise InputError(
            f"{path}: there is no decoder for its video codec", advice="Convert it to FFV1 or H.264 first."
        )
    if stream.width * stream.height > MAX_PIXELS:
        raise InputError(
            f"{path}: declares pictures of {stream.width} x {stream.height} pixels",
            advice=f"At most {MAX_PIXELS} pixels are accepted. If it has fewer, its header is damaged: copy it again.",
        )
    return stream


def _moving(path: Path, candidates: list[av.VideoStream]) -> list[av.VideoStream]:
    """Return the ``candidates`` with the most frames: others may be unmarked covers."""
    counts = {stream.index: stream.frames for stream in candidates}
    if len(candidates) > 1 and not all(counts.values()):
        with open_source(path) as container:
            packets = islice(demux_all(container), _COUNTED_PACKETS)
            counts = dict(Counter(packet.stream_index for packet in packets if packet.size))
    most = max(counts.get(stream.index, 0) for stream in candidates)
    return [stream for stream in candidates if 2 * counts.get(stream.index, 0) >= most]


def first_picture(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream
) -> tuple[av.VideoFrame, list[AnyPacket] | None]:
    """Return the first picture of ``stream``, and the packets of all streams up to it (None if too many to keep).

    Raises `InputError`, or the errors of FFmpeg and of the disk.
    """
    bound_pixels(stream)
    first_error: av.FFmpegError | None = None
    packets: list[AnyPacket] | None = []
    size = 0
    for packet in demux(container):
        size += packet.size
        if packets is not None and size <= _KEPT_BYTES:
            packets.append(packet)
        else:
            packets = None
        # Empty packets, which end a stream, have its number nowhere else.
        if packet.stream is not stream:
            continue
        if packet.has_sidedata("encryption_info") or packet.has_sidedata("encryption_init_info"):
            raise encrypted(path)
        try:
            for picture in packet.decode():
                return picture, packets
        except av.FFmpegError as error:
            # The reader of all frames decides whether damage at the start ends the film.
            first_error = first_error or error
    if first_error is not None:
        raise first_error
    raise InputError(f"{path}: holds a video stream without a single picture", advice="Copy the file again.")
