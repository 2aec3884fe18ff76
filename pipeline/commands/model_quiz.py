"""``colorize-model quiz``: real photographs beside coloured ones, and how often those were taken for real."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.common_options import DeviceOption, EngineName, EngineOption, Json, LogFile, Verbose
from pipeline.commands.exits import CommandResult, Reporting, carry_out, markup
from pipeline.commands.model_training import commands
from pipeline.commands.pages import NoBrowser, announcing, until_ctrl_c
from pipeline.commands.plain_help import PlainCommand
from pipeline.errors import UsageError
from pipeline.options import Options

if TYPE_CHECKING:
    from pipeline.review.quiz import Quiz
    from training.evaluate import Paint
    from training.quiz import Count

__all__ = ["commands"]

# In pixels: what a screen shows of a photograph.
_LARGEST = 1280


@commands.command("quiz", cls=PlainCommand)
def _quiz(
    photos: Annotated[Path, typer.Argument(metavar="DIR", help="Colour photographs that MODEL was not trained on.")],
    model: Annotated[str, typer.Option(help="A name, an ONNX file or a checkpoint.")] = Options.model,
    rival: Annotated[
        str | None, typer.Option(help="Show published results instead of MODEL's: the subfolder of DIR beside truth.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Number of pairs.")] = 40,
    seconds: Annotated[float, typer.Option(min=0, help="Hide a pair after this time; 0: never.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Random seed for the order and the sides.")] = 1,
    engine: EngineOption = EngineName.AUTO,
    device: DeviceOption = Options.device,
    size: Annotated[int, typer.Option(min=32, help="Checkpoints: shorter side of the network's input.")] = 256,
    temperature: Annotated[float, typer.Option(help="Checkpoints: sharpness of the choice of colours.")] = 0.4,
    saturation: Annotated[float, typer.Option(help="Checkpoints: factor for the colours.")] = 1.0,
    no_browser: NoBrowser = False,
    json: Json = False,
    log_file: LogFile = None,
    verbose: Verbose = 0,
) -> None:
    """Ask people which picture is real: photographs of DIR beside coloured versions. Ctrl-C ends and shows the score.

    MODEL colours them as colorize-photo does. For a checkpoint, the network's colours are shown without further
    processing. The page is served to this computer only.
    """

    def action() -> CommandResult:
        from pipeline.review.quiz import Quiz
        from training.compare import ModelSettings, predictor_of
        from training.cost import CHECKPOINT_SUFFIX
        from training.evaluate import find_set, rival_systems
        from training.quiz import draw_rounds, pairs_of

        pictures = find_set(photos)
        drawn = draw_rounds(len(pictures.truths), count=rounds, seed=seed)
        if rival is not None:
            published = rival_systems(pictures)
            if rival not in published:
                raise UsageError(f"{photos}: no results of {rival}", advice=f"There are {', '.join(published)}.")
            quiz = Quiz(drawn, pairs_of(pictures, published[rival], largest=None), seconds=seconds)
            return _counted(rival, _served(quiz, no_browser=no_browser, json=json))
        if Path(model).suffix == CHECKPOINT_SUFFIX:
            bare = ModelSettings(device=device, size=size, temperature=temperature, saturation=saturation)
            predictor = predictor_of(model, bare)
        else:
            predictor = product_predictor(Options(engine=engine, device=device, model=model))
        with predictor as (name, paint):
            quiz = Quiz(drawn, pairs_of(pictures, paint, largest=_LARGEST), seconds=seconds)
            return _counted(name, _served(quiz, no_browser=no_browser, json=json))

    carry_out(Reporting(json=json, verbosity=verbose, log_file=log_file), action)


@contextmanager
def product_predictor(options: Options) -> Iterator[tuple[str, Paint]]:
    """Yield a network's name and a function that colours as the program does for grey photographs of its users."""
    from pipeline.color.colorizer import open_colorizer
    from pipeline.photo.one import colorize_photo
    from training.evaluate import grey

    with open_colorizer(options) as colorizer:
        yield (
            colorizer.spec.model,
            lambda _, lightness: colorize_photo(grey(lightness)[..., 0], None, options, colorizer=colorizer),
        )


def _served(quiz: Quiz, *, no_browser: bool, json: bool) -> Count:
    """Serve ``quiz`` until the user ends it, and return the answers."""
    from pipeline.review.local import serve_locally
    from pipeline.review.quiz import quiz_app

    with until_ctrl_c():
        serve_locally(quiz_app(quiz), ready=announcing("Quiz", no_browser=no_browser, err=json))
    return quiz.count


def _counted(name: str, count: Count) -> CommandResult:
    low, high = count.interval
    share = f", {count.fooled / count.answered:.0%} (95 %: {low:.0%} to {high:.0%})" if count.answered else ""
    line = markup(f"coloured by {name} and taken for real: {count.fooled} of {count.answered}{share}")
    document = {"system": name, "answered": count.answered, "fooled": count.fooled, "interval": [low, high]}
    return CommandResult(document, [line])
