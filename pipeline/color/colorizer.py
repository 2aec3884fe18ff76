"""Luma in, chroma out, in order: what films and photographs alike call for colour."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from engines import networks
from engines.base import Setup
from engines.cache import cache_folder
from engines.machine import usable_cores
from engines.network import Network, Prediction
from engines.networks import introduction, open_network
from engines.registry import EngineChoice
from pipeline.color.batching import examine, predict
from pipeline.color.key_frame_answers import PredictionSettings
from pipeline.color.model_input import ModelInput, Turn, model_input
from pipeline.color.spaces import F32, Codes, ColorSpec
from pipeline.color.statements import Statement
from pipeline.options import Options
from pipeline.progress import Progress, Silent
from pipeline.results import ModelOrigin, Note, NoteKind

logger = logging.getLogger(__name__)


class Colorizer:
    """A network with everything between luma planes and it. Several threads may use it."""

    def __init__(self, network: Network, choice: EngineChoice) -> None:
        self._network = network
        self.choice = choice
        self.spec = network.spec
        logger.info("network %s", network.spec)
        for name, reason in choice.rejected:
            logger.warning("engine %s not used: %s", name, reason)

    @property
    def weights(self) -> str:
        """Name and hash of the weights, short enough for a file's metadata."""
        return f"{self.spec.model} {self.spec.weights_sha256[:12]}"

    @property
    def origin(self) -> ModelOrigin:
        """What the network is, for results that say where their colours come from."""
        spec = self.spec
        return ModelOrigin(
            network=spec.network,
            contract=spec.contract,
            licence=spec.licence,
            device=spec.device,
            fingerprint=spec.fingerprint,
        )

    def model_input(
        self, codes: Codes, spec: ColorSpec, *, size: int, turn: Turn | None = None, aspect: float = 1.0
    ) -> ModelInput:
        """Return what the network sees of a luma plane (H, W): its shorter side becomes ``size`` pixels.

        Where the engine wants multiples of more, it becomes the next one. ``aspect`` is the width of a stored pixel
        over its height.
        """
        return model_input(codes, spec, size=self.spec.size, short=size, turn=turn, aspect=aspect)

    def predict(self, pictures: Sequence[ModelInput], hints: Sequence[F32] | None = None) -> list[F32]:
        """Return the network's ab (2, h / stride, w / stride) for each of ``pictures``; see `batching.predict`.

        ``hints``, one for each picture, are what the network is given beside the luma, (3, h / 4, w / 4): a* and b*
        times the mask, then the mask, 0 or 1. Raises `EngineError` for hints where ``spec.takes_hints`` is False.
        """
        return predict(pictures, self._network, hints)

    def examine(self, picture: ModelInput) -> Prediction:
        """Return all that the network says of one picture, its evidence among it where it gives any."""
        return self.examine_all([picture])[0]

    def examine_all(self, pictures: Sequence[ModelInput]) -> list[Prediction]:
        """Return all that the network says of each of ``pictures``, as batches of one; see `batching.examine`."""
        return examine(pictures, self._network)

    def prediction_settings(self, options: Options, statements: Sequence[Statement] = ()) -> PredictionSettings:
        """Return how the chroma of a film is predicted of which a person states ``statements``."""
        return PredictionSettings(
            predict=self.examine_all,
            stride=self.spec.stride,
            every=options.every,
            statements=statements,
            saturation=options.saturation,
        )

    def notes(self) -> tuple[Note, ...]:
        """Return the engines that were tried in vain, as notes for every result."""
        return tuple(
            Note(NoteKind.FALLBACK, f"engine {name} not used: {reason}") for name, reason in self.choice.rejected
        )


def network_threads() -> int:
    """Return how many CPU threads the network gets: half of the cores, since a decoder and an encoder work beside it.

    Threads that share a batch wait for each other; where each has a core to itself only now and then, for long.
    """
    return max(1, usable_cores() // 2)


@contextmanager
def open_colorizer(options: Options | None = None, *, progress: Progress | None = None) -> Iterator[Colorizer]:
    """Open the engine that ``options`` ask for; close it at the end. Raises the errors of `open_network`.

    ``progress`` is told which engine it is and why, and which were tried in vain.
    """
    options, progress = options or Options(), progress or Silent()
    setup = Setup(device=options.device, threads=network_threads(), cache=cache_folder(), say=progress.say)
    network, choice = open_network(options.engine, options.model, setup=setup)
    try:
        colorizer = Colorizer(network, choice)
        progress.say(f"engine: {choice.reason}; weights: {network.spec.model}")
        if said := introduction(network):
            progress.say(said)
        for note in colorizer.notes():
            progress.note(choice.engine, note)
        yield colorizer
    finally:
        network.close()


def given_or_opened(
    colorizer: Colorizer | None, options: Options, *, progress: Progress
) -> AbstractContextManager[Colorizer]:
    """Give ``colorizer`` and leave it open, or, if it is None, one that is opened for the block."""
    return open_colorizer(options, progress=progress) if colorizer is None else nullcontext(colorizer)


def fingerprint(options: Options) -> str:
    """Return the fingerprint of the network that ``options`` name, without opening an engine. Raises `WeightsError`.

    It is ``Colorizer.spec.fingerprint`` of the one that will be opened.
    """
    return networks.fingerprint(options.model)
