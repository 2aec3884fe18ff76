"""Colour one photograph: a file, or a picture in memory, which is returned as the kind of object it was given as."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from io import BytesIO
from pathlib import Path, PurePath
from typing import IO, Any, Final, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.callbacks import guarded
from pipeline.color.colorizer import Colorizer
from pipeline.errors import OutputError, Renamed, UsageError
from pipeline.interruption import StopRequest
from pipeline.media.stills import output_suffix, still_format
from pipeline.options import Options
from pipeline.os_errors import TMPDIR, unreadable, unusable_temporary
from pipeline.photo.in_memory import NAME, coloured_array, coloured_image
from pipeline.photo.job import PhotoJob, colorize_job, default_output, require_untimed
from pipeline.progress import Progress, Silent
from pipeline.results import PhotoResult


class AsGiven(Enum):
    """The type of `AS_GIVEN`."""

    AS_GIVEN = "as given"

    def __repr__(self) -> str:
        return self.name


AS_GIVEN: Final = AsGiven.AS_GIVEN
"""The default ``output`` of `colorize_photo`: a path's result is written beside it, and a picture comes back."""


@overload
def colorize_photo(
    source: Path | str,
    output: Path | str | AsGiven = AS_GIVEN,
    options: Options | None = None,
    *,
    correction: Path | None = None,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
) -> PhotoResult: ...


@overload
def colorize_photo(
    source: Path | str,
    output: None,
    options: Options | None = None,
    *,
    correction: Path | None = None,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
) -> bytes: ...


@overload
def colorize_photo(
    source: bytes,
    output: AsGiven | None = AS_GIVEN,
    options: Options | None = None,
    *,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
) -> bytes: ...


@overload
def colorize_photo(
    source: IO[bytes],
    output: AsGiven | None = AS_GIVEN,
    options: Options | None = None,
    *,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
) -> BytesIO: ...


@overload
def colorize_photo(
    source: Image.Image,
    output: AsGiven | None = AS_GIVEN,
    options: Options | None = None,
    *,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
) -> Image.Image: ...


@overload
def colorize_photo(
    source: NDArray[Any],
    output: AsGiven | None = AS_GIVEN,
    options: Options | None = None,
    *,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
) -> NDArray[Any]: ...


def colorize_photo(
    source: Path | str | bytes | IO[bytes] | Image.Image | NDArray[Any],
    output: Path | str | AsGiven | None = AS_GIVEN,
    options: Options | None = None,
    *,
    correction: Path | None = None,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
) -> PhotoResult | bytes | BytesIO | Image.Image | NDArray[Any]:
    """Colour the photograph ``source``.

    ``source`` is the path of a photograph, or a picture in memory:

    - an array, (H, W) grey or (H, W, 3) R, G and B, uint8 or uint16, full range, in sRGB, optionally with alpha as a
      further channel; the result is (H, W, 3), or 4 with alpha, of the same dtype;
    - a Pillow image, which keeps its ICC profile or gets one derived from it for colour;
    - ``bytes``: an encoded file of any readable format;
    - a binary file object, which is read to its end; the result is one in memory.

    ``output`` decides where the result goes:

    - not given (`AS_GIVEN`): that of a path is written beside it and a `PhotoResult` returned; a picture in memory is
      returned, coloured, as the kind of object it was given as;
    - a path, for paths: the result is written there, verified, never over an original, and a `PhotoResult` returned;
    - None: no file is left, and the coloured picture is returned: for a path the ``bytes`` of the result's file, for a
      picture in memory as if ``output`` were not given.

    Encoded results are the same to the byte, whether they are written or returned: verified, with format, depth,
    profile and metadata. A photograph that is already coloured, or whose tint is wanted, comes back byte for byte, or
    as the object that was given. ``correction`` is the path of the correction file of a path, which need not exist. An
    engine is opened for the photograph, unless ``colorizer`` is given, which is left open. ``progress`` receives the
    notes, which a `PhotoResult` also has. Raises the errors of `pipeline.errors`, `UsageError` for objects of other
    kinds; what stands under the final name is then unchanged.
    """
    options = options or Options()
    require_untimed(options)
    if not (output is None or isinstance(output, AsGiven | str | PurePath)):
        raise UsageError(
            f"output: is of type {type(output).__name__}, not a path", advice="Give a path, None or nothing."
        )
    with guarded(progress or Silent(), StopRequest()) as guarded_progress:
        if isinstance(source, str | PurePath):
            return _of_path(Path(source), output, options, correction, colorizer, guarded_progress)
        _check_stays_in_memory(output, correction)
        if isinstance(source, bytes):
            return _encoded(source, options, colorizer, guarded_progress)
        if isinstance(source, Image.Image):
            return coloured_image(source, options, colorizer, guarded_progress)
        if isinstance(source, np.ndarray):
            return coloured_array(source, options, colorizer, guarded_progress)
        if hasattr(source, "read"):
            return BytesIO(_encoded(_content(source), options, colorizer, guarded_progress))
    raise _of_another_kind(source)


def _of_another_kind(source: object) -> UsageError:
    return UsageError(
        f"{NAME}: is of type {type(source).__name__}",
        advice="Give a path, an array, a Pillow image, bytes or a file open for reading bytes.",
    )


def _of_path(
    source: Path,
    output: Path | str | AsGiven | None,
    options: Options,
    correction: Path | None,
    colorizer: Colorizer | None,
    progress: Progress,
) -> PhotoResult | bytes:
    if output is None:
        with _temporary_folder(str(source)) as folder:
            job = PhotoJob(source, _result_in(folder, source), correction=correction)
            return colorize_job(job, options, colorizer, progress).output.read_bytes()
    final = default_output(source) if output is AS_GIVEN else Path(output)
    return colorize_job(PhotoJob(source, final, correction=correction), options, colorizer, progress)


def _check_stays_in_memory(output: Path | str | AsGiven | None, correction: Path | None) -> None:
    if output is not None and output is not AS_GIVEN:
        raise UsageError(
            f"{NAME}: its result is returned, not written to {output}",
            advice="Leave the output out and save what is returned, or give the source as a path.",
        )
    if correction is not None:
        raise UsageError(f"{NAME}: has no correction file ({correction})", advice="Give the source as a path.")


def _content(file: IO[bytes]) -> bytes:
    try:
        data: object = file.read()
    except UnicodeDecodeError as error:
        raise _of_another_kind(file) from error
    except ValueError as error:
        # Python's files report in this way that they are closed, or open for writing only.
        raise UsageError(f"{NAME}: its file is not open for reading", advice="Open it with mode rb.") from error
    except OSError as error:
        raise unreadable(NAME, error) from error
    if not isinstance(data, bytes):
        raise _of_another_kind(file)
    return data


def _encoded(data: bytes, options: Options, colorizer: Colorizer | None, progress: Progress) -> bytes:
    with _temporary_folder(NAME) as folder:
        source = folder / "picture"
        source.write_bytes(data)
        with Renamed(source, NAME).errors():
            job = PhotoJob(source, _result_in(folder, source))
            return colorize_job(job, options, colorizer, progress, item=NAME).output.read_bytes()


def _result_in(folder: Path, source: Path) -> Path:
    return folder / f"coloured{output_suffix(source, still_format(source))}"


@contextmanager
def _temporary_folder(name: str) -> Iterator[Path]:
    """Yield a folder for the source ``name``, deleted after the block.

    If it cannot be used, `OutputError` says where it is chosen.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="autochrome-") as folder:
            yield Path(folder)
    except OutputError as error:
        raise OutputError(str(error), advice=f"{error.advice} {TMPDIR}") from error
    except OSError as error:
        raise unusable_temporary(name, error) from error
