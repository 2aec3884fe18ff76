"""Open a source, known formats and local files only, with a limit on pixels; and read its packets."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import av
import av.container
import av.error

from pipeline.errors import InputError
from pipeline.interruption import called_from_native
from pipeline.media.containers import message_of, open_container, verbose_log
from pipeline.media.film_formats import FORMAT_WHITELIST
from pipeline.media.native_files import SourceFile
from pipeline.media.sequence import Sequence
from pipeline.os_errors import check_is_no_stream, unreadable

MAX_PIXELS = 16384 * 8192
_HOURS_OF_ANALYSIS = 100
# A disk or a demuxer that fails this often in a row will return nothing more.
_FAILURES = 100

AnyPacket: TypeAlias = "av.Packet[Any]"


@contextmanager
def open_source(path: Path, *, probe_size: int = 0) -> Iterator[av.container.InputContainer]:
    """Open ``path`` for reading: known film formats only, local files only. Raises `InputError`.

    FFmpeg reads ``probe_size`` bytes, for 0 its default of 5 MB or seven seconds, before it lists the streams.
    Raises `UnreadableError` if the disk fails, also during reading, at the latest on leaving the context.
    """
    with reporting(path):
        check_is_no_stream(path)
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty", advice="Copy the file again from its source.")
        options = {"format_whitelist": FORMAT_WHITELIST, "protocol_whitelist": ""}
        if probe_size:
            options |= {"probesize": str(probe_size), "analyzeduration": str(_HOURS_OF_ANALYSIS * 3_600_000_000)}
        file = SourceFile(path)
    with closing(file):
        with reporting(path):
            try:
                container = open_container(file, "r", options=options)
            finally:
                file.check()
        with container:
            try:
                yield container
            finally:
                file.check()


@contextmanager
def open_sequence(sequence: Sequence) -> Iterator[av.container.InputContainer]:
    """Open a folder of numbered pictures for reading. Raises `InputError`, and `UnreadableError` like `open_source`."""
    with reporting(sequence.folder):
        container = open_container(
            sequence.pattern,
            "r",
            format="image2",
            options={
                "pattern_type": "sequence",
                "start_number": str(sequence.first),
                "framerate": str(sequence.rate),
                "protocol_whitelist": "file",
                # For the decoder: opening decodes the first picture.
                "max_pixels": str(MAX_PIXELS),
            },
            io_open=_picture_file,
        )
    with container:
        yield container


@called_from_native
def _picture_file(name: str, *_: object) -> BytesIO:
    """Read one of the numbered pictures for FFmpeg, which stops at an empty one.

    A single byte instead is damage to this picture alone, as if truncated.
    """
    path = Path(name)
    try:
        return BytesIO(path.read_bytes() or b"\0")
    except OSError as error:
        raise unreadable(path, error) from error


def shared_file(container: av.container.InputContainer) -> AbstractContextManager[BinaryIO]:
    """Lend the open file from which FFmpeg reads ``container``, at its start; numbered pictures have none.

    FFmpeg must not read in the meantime. Raises `UnreadableError` if the disk fails.
    """
    file: SourceFile = container.file.file
    return file.shared()


def demux(container: av.container.InputContainer, *streams: av.stream.Stream) -> Iterator[AnyPacket]:
    """Return an iterator over the packets of ``streams``, by default of all, each stream ended by an empty one.

    Packets of streams that FFmpeg finds after opening, which PyAV does not know, are left out.
    """
    return iter(partial(_next_of, container, container.demux(*streams)), None)


def demux_all(
    container: av.container.InputContainer,
    *streams: av.stream.Stream,
    met: Callable[[Exception], None] | None = None,
    drained: av.stream.Stream | None = None,
) -> Iterator[AnyPacket]:
    """Yield packets like `demux`, but continue after unreadable data, up to 100 times in a row.

    ``met`` is called with each error. If the end is not reached, only ``drained`` is ended by an empty packet: its
    decoder still holds pictures.
    """
    failures, packets = 0, container.demux(*streams)
    while failures < _FAILURES:
        try:
            packet = _next_of(container, packets)
        except (av.FFmpegError, OSError) as error:
            if met is not None:
                met(error)
            failures, packets = failures + 1, container.demux(*streams)
            continue
        if packet is None:
            return
        failures = 0
        yield packet
    if drained is not None:
        last = av.Packet(0)
        last.stream = drained
        yield last


def _next_of(container: av.container.InputContainer, packets: Iterator[AnyPacket]) -> AnyPacket | None:
    try:
        return next(packets, None)
    except IndexError:
        # Raised at the very end, for the first stream that PyAV does not know; all others are flushed by then.
        return None
    finally:
        # None: numbered pictures.
        if container.file is not None:
            container.file.file.check()


def without_discard(packet: AnyPacket) -> AnyPacket:
    """Return a copy of ``packet`` that the decoder does not discard, whatever the container states."""
    copy = av.Packet(bytes(packet))
    copy.stream, copy.time_base = packet.stream, packet.time_base
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    return copy


def bound_pixels(stream: av.VideoStream) -> None:
    """Make the decoder of ``stream`` refuse pictures above `MAX_PIXELS` before it allocates them."""
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}


def describe_streams(container: av.container.InputContainer) -> Mapping[int, str]:
    """Return FFmpeg's own lines about each stream, by index, including streams that PyAV does not know.

    Only they give Python the chroma location, cropping, and channel layouts: PyAV's attribute of a custom layout frees
    memory that it does not own. They must be read before the first picture is decoded: afterwards cropping is no
    longer listed.
    """
    with verbose_log():
        dump: str = container.dumps_format()  # type: ignore[attr-defined]  # missing in PyAV's stubs
    parts = re.split(r"^  Stream #0:(\d+)", dump, flags=re.MULTILINE)
    return {int(index): text for index, text in zip(parts[1::2], parts[2::2], strict=True)}


@contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Convert errors of disk and FFmpeg on opening the source ``path`` to `InputError`."""
    try:
        yield
    except InputError:
        raise
    except (av.error.InvalidDataError, av.error.ArgumentError) as error:
        raise InputError(
            f"{path}: is not a film in a supported format, or is too damaged to be recognised",
            advice="Copy it again from its source, or wrap the film in Matroska, MOV, MP4, AVI, MXF or MPEG; "
            "playlists are not read.",
        ) from error
    except av.error.EOFError as error:
        raise InputError(
            f"{path}: ends before its first frame", advice="Copy the file again from its source."
        ) from error
    except (FileNotFoundError, PermissionError) as error:
        raise unreadable(path, error) from error
    except av.FFmpegError as error:
        # Some have errno's numbers, but refer to the file's contents: a disk that fails is named by `SourceFile`.
        if error.errno == errno.EIO:
            raise InputError(
                f"{path}: ends within its header, or its header is damaged",
                advice="Copy the file again from its source.",
            ) from error
        raise InputError(
            f"{path}: cannot be read: {message_of(error)}", advice="Check the disk and the file."
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
