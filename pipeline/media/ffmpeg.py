"""The ffmpeg program, if installed: an independent check of finished films by other code than wrote them."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import ffmpeg

# The oldest version with "-enc_time_base demux"; without it, frame times are rounded to a frame rate.
_OLDEST = (6, 1)
# Only a hang takes longer, on any machine.
_START_SECONDS, _SECONDS_A_FRAME = 300, 2
_MISSING_DECODER = ("decoder not found", "no decoder", "unknown decoder", "could not find codec")


class NotCheckedError(Exception):
    """The program cannot be used; the message tells why. This says nothing about the film."""


class RefusedError(Exception):
    """The program ran and found errors in the film; the message is its own."""


@dataclass(frozen=True)
class SeenFrames:
    """The program's output: exact times in seconds, and the MD5 sum of each frame's luma, in rows, packed."""

    times: tuple[Fraction, ...]
    luma: tuple[str, ...]


def find_program() -> str:
    """Return the path of the ffmpeg program: the system's, else that of the package imageio-ffmpeg.

    Raises `NotCheckedError` if there is none, or only one older than 6.1.
    """
    found = shutil.which("ffmpeg") or _packaged()
    if found is None:
        raise NotCheckedError("ffmpeg program not found; install FFmpeg, or autochrome-archive[ffmpeg]")
    version = _version(found)
    numbers = re.match(r"n?(\d+)\.(\d+)", version)
    # Builds between releases have names instead of numbers; they are assumed new.
    if numbers and (int(numbers[1]), int(numbers[2])) < _OLDEST:
        raise NotCheckedError(f"ffmpeg {version} is too old; it must be 6.1 or newer")
    return found


def see_frames(program: str, path: Path, stream: int, *, frames: int) -> SeenFrames:
    """Decode stream ``stream`` of ``path`` with ``program``, a picture of about ``frames`` frames.

    Raises `NotCheckedError` if it has no decoder for it or takes absurdly long, `RefusedError` if it finds errors.
    """
    source = ffmpeg.input(f"file:{path.absolute()}", noautorotate=None, copyts=None, protocol_whitelist="file")
    wanted = ffmpeg.output(
        source[str(stream)],
        "pipe:",
        format="framemd5",
        vf="extractplanes=y",
        fps_mode="passthrough",
        enc_time_base="demux",
    )
    lines = _run(program, wanted, frames)
    unit = next(Fraction(line.split(": ")[1]) for line in lines if line.startswith("#tb 0:"))
    rows = [line.split(",") for line in lines if not line.startswith("#")]
    return SeenFrames(tuple(int(row[2]) * unit for row in rows), tuple(row[5].strip() for row in rows))


def see_streams(program: str, path: Path, *, frames: int) -> tuple[tuple[str, str], ...]:
    """Return type (video, audio, subtitle) and the MD5 sum of all packets of every stream; errors as `see_frames`."""
    source = ffmpeg.input(f"file:{path.absolute()}", protocol_whitelist="file")
    streams = [source["v?"], source["a?"], source["s?"]]
    lines = _run(program, ffmpeg.output(*streams, "pipe:", format="streamhash", hash="md5", c="copy"), frames)
    types = {"v": "video", "a": "audio", "s": "subtitle"}
    rows = [line.split(",") for line in lines if not line.startswith("#")]
    return tuple((types.get(row[1], row[1]), row[2].removeprefix("MD5=")) for row in rows)


def _run(program: str, wanted: Any, frames: int) -> Sequence[str]:
    arguments = ffmpeg.compile(wanted.global_args("-hide_banner", "-nostdin", "-v", "error", "-xerror"), cmd=program)
    limit = _START_SECONDS + _SECONDS_A_FRAME * frames
    try:
        # In a separate process group: Ctrl-C is for this process, which may finish first.
        done = subprocess.run(
            arguments, capture_output=True, text=True, errors="replace", timeout=limit, check=False, process_group=0
        )
    except OSError as error:
        raise NotCheckedError(f"ffmpeg program does not start: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise NotCheckedError(f"ffmpeg program did not end in {limit} s") from error
    messages = done.stderr.strip()
    if any(text in messages.lower() for text in _MISSING_DECODER):
        raise NotCheckedError(f"the ffmpeg program has no decoder for it: {messages.splitlines()[0]}")
    if done.returncode or messages:
        raise RefusedError(messages.splitlines()[0] if messages else f"exit code {done.returncode}")
    return done.stdout.splitlines()


@cache
def _version(program: str) -> str:
    try:
        output = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise NotCheckedError(f"ffmpeg program does not start: {error}") from error
    return output.split()[2] if output.startswith("ffmpeg version") else "of unknown version"


def _packaged() -> str | None:
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        return None
    try:
        return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except RuntimeError:
        return None
