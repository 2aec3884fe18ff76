"""Opening a source: known formats and local files only, bounded in pixels; and reading its packets."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import av
import av.container
import av.error

from pipeline.errors import InputError
from pipeline.interruption import called_from_native
from pipeline.media.containers import open_container, said, verbose_log
from pipeline.media.film_formats import FORMAT_WHITELIST
from pipeline.media.sequence import Sequence
from pipeline.os_errors import check_is_no_stream, unreadable

MAX_PIXELS = 16384 * 8192
_HOURS_OF_ANALYSIS = 100
# A disk or a demuxer that fails this often in a row has nothing more to give.
_FAILURES = 100
# The system's own function, by descriptor, place and from where.
_lseek = ctypes.cdll.ucrtbase._lseeki64 if sys.platform == "win32" else ctypes.CDLL(None).lseek
_lseek.argtypes, _lseek.restype = (ctypes.c_int, ctypes.c_int64, ctypes.c_int), ctypes.c_int64

AnyPacket: TypeAlias = "av.Packet[Any]"


class _SourceFile:
    """What FFmpeg reads a film from; a disk that fails is an `UnreadableError` here.

    FFmpeg takes such a disk for the end of the film in most containers, and for damage in others. What is raised while
    it reads is therefore kept, FFmpeg is told that nothing more comes, and `check` raises it afterwards. So is what
    signals raise in the main thread: they are noticed as soon as Python goes on, before the first line of a function
    that is called back, and PyAV drops what that raises. So none is.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path.absolute())
        self._path = path
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise unreadable(path, error) from error
        self._raised: BaseException | None = None
        reads = self._reads()
        next(reads)
        self.read = reads.send
        # A damaged file points anywhere: this returns a negative number where `os.lseek` raises.
        self.seek = partial(_lseek, self._file.fileno())
        self.tell = self._file.tell

    def _reads(self) -> Generator[bytes, int, None]:
        """Answer every size that is sent with as many bytes, or fewer; the whole body stands in ``try``."""
        data, has_failed = b"", False
        while True:
            try:
                while True:
                    size = yield data
                    data = b"" if has_failed else self._file.read(size) or b""
            except GeneratorExit:
                return
            except BaseException as error:  # noqa: BLE001 - `check` raises it
                self._raised = unreadable(self._path, error) if isinstance(error, OSError) else error
                data, has_failed = b"", True

    def close(self) -> None:
        self._file.close()

    def check(self) -> None:
        """Raise what was raised while FFmpeg read, once: `UnreadableError`, or the exception of a signal."""
        raised, self._raised = self._raised, None
        if raised is not None:
            raise raised


@contextmanager
def open_source(path: Path, *, probe_size: int = 0) -> Iterator[av.container.InputContainer]:
    """Open ``path`` for reading: known film formats only, local files only. Raises `InputError`.

    FFmpeg reads ``probe_size`` bytes, for 0 its usual 5 MB or seven seconds, before it says which streams there are.
    Raises `UnreadableError`, also while it is read, or at the latest when it is left, if the disk refuses.
    """
    with reporting(path):
        check_is_no_stream(path)
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty", advice="Copy the file again from its source.")
        options = {"format_whitelist": FORMAT_WHITELIST, "protocol_whitelist": ""}
        if probe_size:
            options |= {"probesize": str(probe_size), "analyzeduration": str(_HOURS_OF_ANALYSIS * 3_600_000_000)}
        file = _SourceFile(path)
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
    """Open a folder of numbered pictures for reading. Raises `InputError`, and `UnreadableError` as `open_source`."""
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
    """Read one of numbered pictures for FFmpeg, which gives up at an empty one.

    A byte in its place is damage of this picture, as if it were cut off.
    """
    path = Path(name)
    try:
        return BytesIO(path.read_bytes() or b"\0")
    except OSError as error:
        raise unreadable(path, error) from error


def demux(container: av.container.InputContainer, *streams: av.stream.Stream) -> Iterator[AnyPacket]:
    """Return an iterator over the packets of ``streams``, by default of all, each stream ended by an empty one.

    Packets of streams that FFmpeg meets after opening, which PyAV does not know, are left out.
    """
    return iter(partial(_next_of, container, container.demux(*streams)), None)


def demux_all(
    container: av.container.InputContainer,
    *streams: av.stream.Stream,
    met: Callable[[Exception], None] | None = None,
    drained: av.stream.Stream | None = None,
) -> Iterator[AnyPacket]:
    """Yield what `demux` does, going on behind what cannot be read, up to 100 times in a row.

    ``met`` is told of each. Where the end is not reached, no stream is ended by an empty packet but ``drained``: its
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
        # Raised at the very end, by the first stream that PyAV does not know; all others are flushed by then.
        return None
    finally:
        # None: numbered pictures.
        if container.file is not None:
            container.file.file.check()


def without_discard(packet: AnyPacket) -> AnyPacket:
    """Return a copy of ``packet`` that the decoder does not throw away, whatever the container says."""
    copy = av.Packet(bytes(packet))
    copy.stream, copy.time_base = packet.stream, packet.time_base
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    return copy


def bound_pixels(stream: av.VideoStream) -> None:
    """Make the decoder of ``stream`` refuse pictures beyond `MAX_PIXELS` before it allocates them."""
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}


def describe_streams(container: av.container.InputContainer) -> Mapping[int, str]:
    """Return FFmpeg's own lines about each stream, by index, those included that PyAV does not know.

    Nothing else tells Python the location of chroma, cropping, and channel layouts: PyAV's own attribute of a custom
    layout frees memory that is not its own. Asked before the first picture is decoded: afterwards cropping is no
    longer listed.
    """
    with verbose_log():
        dump: str = container.dumps_format()  # type: ignore[attr-defined]  # missing in PyAV's stubs
    parts = re.split(r"^  Stream #0:(\d+)", dump, flags=re.MULTILINE)
    return {int(index): text for index, text in zip(parts[1::2], parts[2::2], strict=True)}


@contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Turn what disk and FFmpeg raise on opening the source ``path`` into `InputError`."""
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
        # Some have errno's numbers, and mean what is in the file.
        raise InputError(f"{path}: cannot be read: {said(error)}", advice="Check the disk and the file.") from error
    except OSError as error:
        raise unreadable(path, error) from error
