"""Segments of a film: encoded packets of whole shots, kept on disk; several processes may write different ones."""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
from av import Packet

from pipeline.errors import OutputError, UsageError
from pipeline.file_locks import EXCLUSIVE, NO_WAIT
from pipeline.locks import NoLocksError, lock
from pipeline.media.writer import FilmWriter, Written
from pipeline.open_files import delete, delete_locked, is_in_use
from pipeline.originals import Originals, check_own, is_folder
from pipeline.os_errors import writing
from pipeline.publish import PARTIAL, PARTIAL_PREFIX, publishing

LOCK = "lock"
_RECIPE = "recipe.json"
_SUFFIX, _CLAIM = ".segment", ".claim"
# Header of each packet: pts, duration, key frame or not, size of the data that follow.
_PACKET = struct.Struct("<qq?Q")
# Trailer of a segment: size of the summary before it, fingerprint of everything before that field, and a mark.
_END = struct.Struct("<Q16s8s")
_MARK = b"SEGMDONE"
_BLOCK = 1 << 20
_LONGEST_NAME = 200  # bytes: most file systems hold 255
_OWN = re.compile(rf"\d{{6,}}\.(segment|claim)|recipe\.json|{PARTIAL.pattern}", PARTIAL.flags)


def segment_folder(final: Path) -> Path:
    """Return the folder of the segments of the result ``final``, a hidden one beside it."""
    name = final.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.blake2b(os.fsencode(name), digest_size=16).hexdigest()
    return final.with_name(f"{PARTIAL_PREFIX}{name}.segments")


def check_segment_folder(final: Path, *, originals: Originals) -> None:
    """Raise `UsageError` if the segments of ``final`` would be elsewhere, by a link, or among ``originals``.

    Raises `OutputError` if the folder of ``final`` cannot be looked at.
    """
    folder = segment_folder(final)
    originals.check(folder)
    with writing(final):
        is_link = folder.is_symlink()
    if is_link:
        raise UsageError(
            f"{folder}: is a link, and the segments of {final.name} would be written and deleted in another folder",
            advice="Delete the link, or choose another name with --output.",
        )


def bytes_in_segments(final: Path) -> int:
    """Return the number of bytes in complete segments of the film ``final``."""
    try:
        return sum(path.stat().st_size for path in _complete(segment_folder(final)))
    except OSError:
        return 0


def _complete(folder: Path) -> Iterator[Path]:
    return folder.glob(f"[0-9]*{_SUFFIX}")


@dataclass(frozen=True)
class Segment:
    """A complete segment of ``frames`` frames from number ``first`` on, with its writer's ``summary`` (JSON values)."""

    path: Path
    first: int
    frames: int
    summary: Mapping[str, Any]


class SegmentFolder:
    """The segments of one result, which several processes may write; each claims a segment before writing it.

    ``segments`` are the complete ones found so far, by number. One process is the owner: it holds the lock of the
    result, calls `prepare` first, joins the segments, and calls `remove`.
    """

    def __init__(self, folder: Path, final: Path, recipe: Mapping[str, Any], *, originals: Originals) -> None:
        """Open the segments of the result ``final`` in ``folder``, made by ``recipe`` (JSON values). Writes nothing."""
        self._folder = folder
        self._recipe = json.dumps(recipe, sort_keys=True)
        self._mark = _digest(self._recipe.encode())
        self.final = final
        self.originals = originals
        self.segments: dict[int, Segment] = {}

    def prepare(self) -> None:
        """Delete segments that are damaged or of other recipes, and find the rest. Raises `OutputError`."""
        try:
            if not self.is_open():
                self.remove()
                self._folder.mkdir(parents=True, exist_ok=True)
                with publishing(self._folder / _RECIPE, overwrite=True, originals=self.originals) as temporary:
                    temporary.write_text(self._recipe, encoding="utf-8")
            self.look()
            self._clean_up()
        except OSError as error:
            raise OutputError(
                f"{self._folder}: cannot be used: {error.strerror or error}",
                advice="Check free space and permissions.",
            ) from error

    def is_open(self) -> bool:
        """Tell whether segments of this recipe are in use: from `prepare` to `remove`. Raises `OSError`."""
        try:
            return (self._folder / _RECIPE).read_text(encoding="utf-8") == self._recipe
        except FileNotFoundError:
            return False

    @property
    def frames(self) -> int:
        """Number of frames in the segments found."""
        return sum(segment.frames for segment in self.segments.values())

    def look(self) -> int:
        """Find new segments; return the number of frames in them. Raises `OSError`."""
        before = self.frames
        for path in sorted(_complete(self._folder)):
            number = int(path.stem)
            if number not in self.segments and (segment := _read(path, self._mark)) is not None:
                self.segments[number] = segment
        return self.frames - before

    @contextmanager
    def claimed(self, number: int, *, first: int, is_owner: bool) -> Iterator[SegmentWriter | None]:
        """Claim segment ``number``, from frame ``first`` on, for the block, and yield its writer.

        The segment is added if the block ends without an error. Yields None if the segment exists, which only the owner
        verifies to the last byte, or if another process has claimed it. On a disk without locks, only the owner gets
        a writer. Raises `OSError`.
        """
        with ExitStack() as stack:
            claim = None if number in self.segments else self._claim(number, stack, is_owner=is_owner)
            if claim is None or self._is_done(number, whole=is_owner):
                yield None
            elif not self.is_open():
                # Checked in this order, as the owner may just have been removing everything.
                delete_locked(claim, self._path(number, _CLAIM))
                yield None
            else:
                path = self._path(number, _SUFFIX)
                yield stack.enter_context(SegmentWriter(self, number, path, first=first, mark=self._mark))

    def is_claimed(self, number: int) -> bool:
        """Tell whether a process has claimed segment ``number``. Raises `OSError`."""
        with ExitStack() as stack:
            return self._claim(number, stack, is_owner=True) is None

    def _claim(self, number: int, stack: ExitStack, *, is_owner: bool) -> IO[str] | None:
        """Claim segment ``number`` until ``stack`` closes, and return the file; None if another process has it."""
        path = self._path(number, _CLAIM)
        check_own(path)
        try:
            file = stack.enter_context(path.open("a+", encoding="utf-8"))
            lock(file, path, EXCLUSIVE | NO_WAIT)
        except (FileNotFoundError, BlockingIOError):
            return None
        except NoLocksError:
            return file if is_owner else None
        return file

    def _is_done(self, number: int, *, whole: bool) -> bool:
        path = self._path(number, _SUFFIX)
        return path.exists() and _read(path, self._mark, whole=whole) is not None

    def _path(self, number: int, suffix: str) -> Path:
        return self._folder / f"{number:06}{suffix}"

    def discard(self, number: int) -> None:
        """Delete a segment."""
        self.segments.pop(number).path.unlink()

    def packets(self) -> Iterator[Packet[Any]]:
        """Yield the packets of all segments in coding order, with decoding times that rise through the whole film."""
        segments = [self.segments[number] for number in sorted(self.segments)]
        coded = [pts for segment in segments for pts, *_ in _walk(segment.path, data=False)]
        clock = iter(_decoding_times(np.array(coded, np.int64)).tolist())
        for segment in segments:
            for pts, duration, is_key, data in _walk(segment.path, data=True):
                packet: Packet[Any] = Packet(data)
                packet.pts, packet.dts, packet.duration, packet.is_keyframe = pts, next(clock), duration, is_key
                yield packet

    def join(self, writer: FilmWriter) -> Written:
        """Write the packets of all segments and the other streams with ``writer``, and finish it."""
        with writer:
            writer.append(self.packets(), frames=self.frames)
            return writer.finish()

    def remove(self) -> None:
        """Delete all segments, beginning with the file that tells other processes that they are in use.

        Windows does not delete files that these have open: they `sweep`.
        """
        delete(self._folder / _RECIPE)
        self.segments.clear()
        for path in self._own() if is_folder(self._folder) else ():
            try:
                path.unlink(missing_ok=True)
            except PermissionError as error:
                if not is_in_use(error):
                    raise

    def is_to_sweep(self) -> bool:
        """Tell whether files are left although segments are no longer in use. Raises `OSError`."""
        if (self._folder / _RECIPE).exists():
            return False
        # On Windows a helping process deletes its claim after the owner has gone, which had to leave the folder for it.
        return is_folder(self._folder) and (sys.platform == "win32" or any(self._own()))

    def sweep(self) -> None:
        """Delete what is left, of any recipe, if segments are no longer in use."""
        if is_folder(self._folder) and not (self._folder / _RECIPE).exists():
            self.remove()

    def _own(self) -> Iterator[Path]:
        """Yield the files of a folder of segments, except the lock; other files are not ours."""
        return (path for path in self._folder.iterdir() if _OWN.fullmatch(path.name))

    def _clean_up(self) -> None:
        """Delete damaged and incomplete files, unless a process has claimed a segment."""
        claims = [int(path.stem) for path in self._folder.glob(f"[0-9]*{_CLAIM}")]
        if any(self.is_claimed(number) for number in claims):
            return
        kept = {segment.path for segment in self.segments.values()}
        for path in self._own():
            if path.name != _RECIPE and path not in kept:
                path.unlink(missing_ok=True)


class SegmentWriter:
    """Writes one segment; use it in a ``with`` block, `add` every packet, then `finish`."""

    def __init__(self, owner: SegmentFolder, number: int, path: Path, *, first: int, mark: str) -> None:
        self._owner, self._number, self._path = owner, number, path
        self._first, self._mark = first, mark
        self._cleanup = ExitStack()
        self._hash = hashlib.blake2b(digest_size=16)
        self._segment: Segment | None = None

    def __enter__(self) -> Self:
        temporary = self._cleanup.enter_context(publishing(self._path, overwrite=True, originals=self._owner.originals))
        self._file: BinaryIO = self._cleanup.enter_context(temporary.open("xb"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._segment is None:
            raise ValueError("a segment was left without finish()")
        self._cleanup.__exit__(kind, error, trace)
        if self._segment is not None and kind is None:
            self._owner.segments[self._number] = self._segment

    def add(self, packets: Iterable[Packet[Any]]) -> None:
        """Append encoded packets. Raises `OSError` if the disk refuses."""
        for packet in packets:
            if packet.pts is None:
                raise ValueError("an encoded packet has no time")
            data = bytes(packet)
            head = _PACKET.pack(packet.pts, packet.duration or 0, packet.is_keyframe, len(data))
            for part in (head, data):
                self._hash.update(part)
                self._file.write(part)

    def finish(self, *, frames: int, summary: Mapping[str, Any]) -> None:
        """Close the segment with the packets of ``frames`` frames; ``summary`` is stored with them.

        Raises `OSError` if the disk refuses.
        """
        values = {"recipe": self._mark, "first": self._first, "frames": frames, "summary": summary}
        text = json.dumps(values).encode()
        self._hash.update(text)
        self._file.write(text + _END.pack(len(text), self._hash.digest(), _MARK))
        self._file.close()
        self._segment = Segment(self._path, self._first, frames, summary)


def _read(path: Path, mark: str, *, whole: bool = True) -> Segment | None:
    """Return the segment at ``path``, or None if it is damaged or its recipe has another ``mark``.

    Without ``whole``, only its end is read.
    """
    with path.open("rb") as file:
        end = _find_end(file)
        if end is None:
            return None
        start, size, digest = end
        summary = _at(file, start, size)
        if whole and _fingerprint(file, start + size) != digest:
            return None
    try:
        values = json.loads(summary)
    except ValueError:
        return None
    if values["recipe"] != mark:
        return None
    return Segment(path, int(values["first"]), int(values["frames"]), values["summary"])


def _fingerprint(file: BinaryIO, size: int) -> bytes:
    """Hash the first ``size`` bytes."""
    hasher = hashlib.blake2b(digest_size=16)
    file.seek(0)
    for place in range(0, size, _BLOCK):
        hasher.update(file.read(min(_BLOCK, size - place)))
    return hasher.digest()


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _find_end(file: BinaryIO) -> tuple[int, int, bytes] | None:
    """Return position and size of the summary, and the fingerprint."""
    whole = file.seek(0, os.SEEK_END)
    if whole < _END.size:
        return None
    size, digest, mark = _END.unpack(_at(file, whole - _END.size, _END.size))
    start = whole - _END.size - size
    return (start, size, digest) if mark == _MARK and start >= 0 else None


def _at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)


def _walk(path: Path, *, data: bool) -> Iterator[tuple[int, int, bool, bytes]]:
    """Yield (pts, duration, is key frame, coded data if asked for) of every packet."""
    with path.open("rb") as file:
        end = _find_end(file)
        assert end is not None
        file.seek(0)
        while file.tell() < end[0]:
            pts, duration, is_key, size = _PACKET.unpack(file.read(_PACKET.size))
            yield pts, duration, is_key, file.read(size) if data else b""
            if not data:
                file.seek(size, os.SEEK_CUR)


def _decoding_times(coded: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return rising decoding times, none behind its presentation time, for presentation times in coding order.

    Each segment has its own encoder, so decoding times of two segments may overlap if frame times vary. As in H.264
    encoders, a packet is decoded when the frame ``delay`` places earlier is shown.
    """
    shown = np.sort(coded)
    place = np.arange(len(coded))
    delay = int((place - np.searchsorted(shown, coded)).max(initial=0))
    early = shown[:delay] - (shown[delay] - shown[0]) if delay else shown[:0]
    return np.concatenate([early, shown[: len(shown) - delay]])
