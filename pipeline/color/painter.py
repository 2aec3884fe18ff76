"""The one door to colour: luma in, chroma out, in order. Films and photographs go through the same one."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

import cv2

from engines.base import Setup
from engines.cache import cache_folder
from engines.machine import usable_cores
from engines.network import Network
from engines.networks import fingerprint, open_network
from engines.registry import EngineChoice
from pipeline.color.batching import Coloured, answers, coloured
from pipeline.color.film import FilmFrame, film_colours
from pipeline.color.sketch import Sketch, Turn, sketch
from pipeline.color.spaces import F32, Codes, ColorSpec
from pipeline.color.tone import SourceTone, ToneEvidence
from pipeline.options import Options
from pipeline.progress import Progress, Silent
from pipeline.results import Note, NoteKind

T = TypeVar("T")

# Parameters of mallopt(3): M_MMAP_THRESHOLD, M_TRIM_THRESHOLD.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_LARGE, _KEPT = 1 << 20, 8 << 20


class Painter:
    """A network with everything between luma planes and it. Several threads may use it."""

    def __init__(self, network: Network, choice: EngineChoice) -> None:
        self._network = network
        # Stages run side by side already: OpenCV's own threads would mostly wait for each other, at full load.
        cv2.setNumThreads(1)
        _return_large_blocks()
        self.choice = choice
        self.spec = network.spec

    @property
    def weights(self) -> str:
        """Name and hash of the weights, short enough for a file's metadata."""
        return f"{self.spec.model} {self.spec.weights_sha256[:12]}"

    def sketch(
        self, item: T, codes: Codes, spec: ColorSpec, *, size: int, turn: Turn | None = None, aspect: float = 1.0
    ) -> Sketch[T]:
        """Return what the network sees of a luma plane (H, W): its shorter side becomes ``size`` pixels.

        Where the engine wants multiples of more, it becomes the next one. ``aspect`` is the width of a stored pixel
        over its height.
        """
        return sketch(item, codes, spec, short=size, size=self.spec.size, turn=turn, aspect=aspect)

    def coloured(self, sketches: Sequence[Sketch[T]]) -> Iterator[Coloured[T]]:
        """Colour ``sketches``, in order; those of one shape share batches."""
        return coloured(sketches, self._network)

    def film(
        self,
        sketches: Iterable[Sketch[T]],
        *,
        evidence: Callable[[T], ToneEvidence],
        options: Options,
        usual: SourceTone | None = None,
    ) -> Iterator[FilmFrame[T]]:
        """Colour the frames of a film, in order, see `pipeline.color.film.film_colours`."""

        def ask(wanted: list[Sketch[T]]) -> list[F32]:
            return answers(wanted, self._network)

        stride = self.spec.stride
        return film_colours(sketches, ask=ask, stride=stride, evidence=evidence, options=options, usual=usual)

    def notes(self) -> tuple[Note, ...]:
        """Return the engines that were tried in vain, as notes for every result."""
        return tuple(
            Note(NoteKind.FALLBACK, f"engine {name} not used: {reason}") for name, reason in self.choice.rejected
        )


def _return_large_blocks() -> None:
    """Have the C library (glibc) give blocks beyond 1 MB back to the system as soon as they are free.

    By itself it keeps ever larger ones, and frames that come and go in several threads leave holes in them: films of
    1080 lines took 47 MB more in their sixtieth second than in their fifth, and now take 12. Of smaller blocks it keeps
    8 MB in every thread: with its own 128 KB every strip of a picture would be asked of the system anew.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)
        mallopt(_TRIM_THRESHOLD, _KEPT)


def network_threads() -> int:
    """Return how many CPU threads the network gets: half of the cores, since a decoder and an encoder work beside it.

    Threads that share a batch wait for each other; where each has a core to itself only now and then, for long.
    """
    return max(1, usable_cores() // 2)


@contextmanager
def open_painter(options: Options | None = None, *, progress: Progress | None = None) -> Iterator[Painter]:
    """Open the engine that ``options`` ask for; close it at the end. Raises the errors of `open_network`.

    ``progress`` hears which engine it is and why, and which were tried in vain.
    """
    options, progress = options or Options(), progress or Silent()
    setup = Setup(threads=network_threads(), cache=cache_folder(), say=progress.say)
    network, choice = open_network(options.engine, options.model, setup=setup)
    try:
        painter = Painter(network, choice)
        progress.say(f"engine: {choice.reason}; weights: {network.spec.model}")
        for note in painter.notes():
            progress.note(choice.engine, note)
        yield painter
    finally:
        network.close()


def lent(painter: Painter | None, options: Options, *, progress: Progress) -> AbstractContextManager[Painter]:
    """Give ``painter`` and leave it open, or, if it is None, one that is opened for the block."""
    return open_painter(options, progress=progress) if painter is None else nullcontext(painter)


def weights_sha256(options: Options) -> str:
    """Return the fingerprint of the weights that ``options`` name, without opening an engine. Raises `WeightsError`."""
    return fingerprint(options.model)
