"""Luma in, chroma out, in order: the interface to colour for both films and photographs."""

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
from pipeline.color.key_frame_predictions import PredictionSettings
from pipeline.color.model_input import ModelInput, Turn, model_input
from pipeline.color.spaces import F32, Codes, ColorSpec
from pipeline.color.statements import Statement
from pipeline.options import Options
from pipeline.progress import Progress, Silent
from pipeline.results import ModelOrigin, Note, NoteKind

logger = logging.getLogger(__name__)


class Colorizer:
    """A network and everything between it and luma planes. Several threads may use it."""

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
        """Identity of the network, for results that state where their colours come from."""
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
        """Return the model input for a luma plane (H, W): its shorter side becomes ``size`` pixels.

        If the engine needs a multiple of some number, it becomes the next one. ``aspect`` is the width of a stored
        pixel over its height.
        """
        return model_input(codes, spec, size=self.spec.size, short=size, turn=turn, aspect=aspect)

    def predict(self, pictures: Sequence[ModelInput], hints: Sequence[F32] | None = None) -> list[F32]:
        """Return the network's ab (2, h / stride, w / stride) for each of ``pictures``; see `batching.predict`.

        ``hints``, one for each picture, are given to the network along with the luma, (3, h / 4, w / 4): a* and b*
        times the mask, then the mask, 0 or 1. Raises `EngineError` for hints where ``spec.takes_hints`` is False.
        """
        return predict(pictures, self._network, hints)

    def examine(self, picture: ModelInput) -> Prediction:
        """Return the network's full prediction for one picture, with its evidence if it gives any."""
        return self.examine_all([picture])[0]

    def examine_all(self, pictures: Sequence[ModelInput]) -> list[Prediction]:
        """Return the full prediction for each of ``pictures``, as batches of one; see `batching.examine`."""
        return examine(pictures, self._network)

    def prediction_settings(self, options: Options, statements: Sequence[Statement] = ()) -> PredictionSettings:
        """Return the settings for predicting the chroma of a film with a person's ``statements``."""
        return PredictionSettings(
            predict=self.examine_all,
            stride=self.spec.stride,
            every=options.every,
            statements=statements,
            saturation=options.saturation,
        )

    def notes(self) -> tuple[Note, ...]:
        """Return notes for every result on the engines that could not be opened."""
        return tuple(
            Note(NoteKind.FALLBACK, f"engine {name} not used: {reason}") for name, reason in self.choice.rejected
        )


def network_threads() -> int:
    """Return the number of CPU threads for the network: half of the cores, as a decoder and an encoder run beside it.

    Threads that share a batch wait for each other, and for long if they have to compete for cores.
    """
    return max(1, usable_cores() // 2)


@contextmanager
def open_colorizer(options: Options | None = None, *, progress: Progress | None = None) -> Iterator[Colorizer]:
    """Open the engine that ``options`` request, and close it at the end. Raises the errors of `open_network`.

    ``progress`` is told which engine is used and why, and which could not be opened.
    """
    options, progress = options or Options(), progress or Silent()
    setup = Setup(device=options.device, threads=network_threads(), cache=cache_folder(), say=progress.say)
    network, choice = open_network(options.engine, options.model, setup=setup)
    try:
        colorizer = Colorizer(network, choice)
        progress.say(f"engine: {choice.reason}; weights: {network.spec.model}")
        if text := introduction(network):
            progress.say(text)
        for note in colorizer.notes():
            progress.note(choice.engine, note)
        yield colorizer
    finally:
        network.close()


def given_or_opened(
    colorizer: Colorizer | None, options: Options, *, progress: Progress
) -> AbstractContextManager[Colorizer]:
    """Yield ``colorizer`` and leave it open, or, if it is None, one opened for the block."""
    return open_colorizer(options, progress=progress) if colorizer is None else nullcontext(colorizer)


def fingerprint(options: Options) -> str:
    """Return the fingerprint of the network that ``options`` name, without opening an engine. Raises `WeightsError`.

    It equals ``Colorizer.spec.fingerprint`` of the opened one.
    """
    return networks.fingerprint(options.model)
