"""A film in segments: encoded packets of whole shots, kept on disk so that a run that died resumes after the last."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt
from av import Packet

from pipeline.errors import OutputError
from pipeline.media.writer import FilmWriter, Written
from pipeline.originals import Originals
from pipeline.publish import PARTIAL_PREFIX, publishing

LOCK = "lock"
_RECIPE = "recipe.json"
_SUFFIX = ".segment"
# What is remembered after a segment. Of the last three it is kept, since the last ones may be damaged.
_MEMORY = ".memory"
# Each packet: pts, duration, key frame or not, size of the data that follow.
_PACKET = struct.Struct("<qq?Q")
# The last bytes of a segment: size of the summary before them, fingerprint of everything before this, and a mark.
_END = struct.Struct("<Q16s8s")
_MARK = b"SEGMDONE"
_BLOCK = 1 << 20
_LONGEST_NAME = 200  # bytes: most file systems hold 255


def segment_folder(final: Path) -> Path:
    """Return where the segments of the result ``final`` lie: a hidden folder beside it."""
    name = final.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.blake2b(os.fsencode(name), digest_size=16).hexdigest()
    return final.with_name(f"{PARTIAL_PREFIX}{name}.segments")


@dataclass(frozen=True)
class Segment:
    """A finished segment of ``frames`` frames; ``summary`` (JSON values) is what its maker needs on a resume.

    ``memory_digest`` is the fingerprint of the bytes that the frames after it rest on, kept in a file beside it.
    """

    path: Path
    frames: int
    summary: Mapping[str, Any]
    memory_digest: str

    @property
    def memory_path(self) -> Path:
        """Where those bytes are."""
        return self.path.with_suffix(_MEMORY)

    def memory(self) -> bytes | None:
        """Return those bytes, None if they are not there or damaged. Raises `OSError`."""
        if not self.memory_path.exists():
            return None
        data = self.memory_path.read_bytes()
        return data if _digest(data) == self.memory_digest else None


class SegmentFolder:
    """The finished segments of one result, in order; use `new` to add one, `remove` when the film is complete."""

    def __init__(self, folder: Path, final: Path, recipe: Mapping[str, Any], *, originals: Originals) -> None:
        """Open the segments of the result ``final`` in ``folder``; the caller holds its lock, if it has one.

        Segments of another ``recipe`` (JSON values) are deleted, and those that are damaged, with all behind them.
        Raises `OutputError`.
        """
        self._folder = folder
        self._recipe = json.dumps(recipe, sort_keys=True)
        self.final = final
        self.originals = originals
        self.segments: list[Segment] = []
        try:
            if self._is_mine():
                self._find()
            else:
                self.remove()
                self._folder.mkdir(parents=True, exist_ok=True)
                with publishing(self._folder / _RECIPE, overwrite=True, originals=originals) as temporary:
                    temporary.write_text(self._recipe, encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"{self._folder}: cannot be used: {error.strerror or error}",
                advice="Check free space and permissions.",
            ) from error

    @property
    def frames(self) -> int:
        """How many frames all finished segments hold."""
        return sum(segment.frames for segment in self.segments)

    @property
    def memory(self) -> bytes | None:
        """What the frames after the last finished segment rest on; None if there is no segment. Raises `OSError`."""
        return self.segments[-1].memory() if self.segments else None

    def new(self) -> SegmentWriter:
        """Return a writer for the next segment; when its block ends well, the segment counts."""
        return SegmentWriter(self, self._folder / f"{len(self.segments):06}{_SUFFIX}")

    def packets(self) -> Iterator[Packet[Any]]:
        """Yield the packets of all segments in coding order, with decoding times that rise through the whole film."""
        coded = [pts for segment in self.segments for pts, *_ in _walk(segment.path, data=False)]
        clock = iter(_decoding_times(np.array(coded, np.int64)).tolist())
        for segment in self.segments:
            for pts, duration, is_key, data in _walk(segment.path, data=True):
                packet: Packet[Any] = Packet(data)
                packet.pts, packet.dts, packet.duration, packet.is_keyframe = pts, next(clock), duration, is_key
                yield packet

    def join(self, writer: FilmWriter) -> Written:
        """Write the packets of all segments, and all that is carried along, with ``writer``, and finish it."""
        with writer:
            writer.append(self.packets(), frames=self.frames)
            return writer.finish()

    def remove(self) -> None:
        """Delete all segments."""
        for path in self._folder.iterdir() if self._folder.exists() else ():
            if path.name != LOCK:
                path.unlink()

    def _is_mine(self) -> bool:
        recipe = self._folder / _RECIPE
        return recipe.exists() and recipe.read_text(encoding="utf-8") == self._recipe

    def _find(self) -> None:
        # A run that was killed may have left its last segment half-made, under a temporary name.
        found = sorted(self._folder.glob(f"[0-9]*{_SUFFIX}"))
        for number, path in enumerate(found):
            segment = _read(path) if path.stem == f"{number:06}" else None
            if segment is None:
                break
            self.segments.append(segment)
        while self.segments and self.memory is None:
            self.segments.pop()
        kept = {path for segment in self.segments for path in (segment.path, segment.memory_path)}
        for path in self._folder.iterdir():
            if path.name not in (LOCK, _RECIPE) and path not in kept:
                path.unlink()

    def append(self, segment: Segment) -> None:
        """Count a segment that is on disk, and delete what was remembered three segments ago."""
        self.segments.append(segment)
        for old in self.segments[-4:-3]:
            old.memory_path.unlink(missing_ok=True)


class SegmentWriter:
    """Writes one segment; use it in a ``with`` block, `add` every packet, then `finish`."""

    def __init__(self, owner: SegmentFolder, path: Path) -> None:
        self._owner, self._path = owner, path
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
            self._owner.append(self._segment)

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

    def finish(self, *, frames: int, summary: Mapping[str, Any], memory: bytes = b"") -> None:
        """Close the segment, which holds the packets of ``frames`` frames; ``summary`` is kept with them.

        ``memory`` is what the frames after it rest on. Raises `OSError` if the disk refuses.
        """
        digest = _digest(memory)
        with publishing(self._path.with_suffix(_MEMORY), overwrite=True, originals=self._owner.originals) as temporary:
            temporary.write_bytes(memory)
        values = json.dumps({"frames": frames, "summary": summary, "memory": digest}).encode()
        self._hash.update(values)
        self._file.write(values + _END.pack(len(values), self._hash.digest(), _MARK))
        self._file.close()
        self._segment = Segment(self._path, frames, summary, digest)


def _read(path: Path) -> Segment | None:
    """Return the segment at ``path``, or None if it is not whole."""
    with path.open("rb") as file:
        end = _find_end(file)
        if end is None:
            return None
        start, size, digest = end
        summary = _at(file, start, size)
        hasher = hashlib.blake2b(digest_size=16)
        file.seek(0)
        for place in range(0, start + size, _BLOCK):
            hasher.update(file.read(min(_BLOCK, start + size - place)))
    if hasher.digest() != digest:
        return None
    values = json.loads(summary)
    return Segment(path, int(values["frames"]), values["summary"], values["memory"])


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _find_end(file: BinaryIO) -> tuple[int, int, bytes] | None:
    """Return place and size of the summary, and the fingerprint."""
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

    Every encoder starts its segment anew, so the decoding times of two segments may overlap where frame times vary. As
    H.264 encoders do, a packet is decoded when the frame is shown that comes ``delay`` places earlier.
    """
    shown = np.sort(coded)
    place = np.arange(len(coded))
    delay = int((place - np.searchsorted(shown, coded)).max(initial=0))
    early = shown[:delay] - (shown[delay] - shown[0]) if delay else shown[:0]
    return np.concatenate([early, shown[: len(shown) - delay]])
