"""Compare several models on the same pictures, and with the rivals' published results: a table, and contact sheets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from engines.errors import MissingDependencyError
from engines.network import Network
from engines.tensors import F32
from training import DISTRIBUTION
from training.cielab_numpy import U8
from training.cost import measure_cost
from training.evaluate import (
    GREY,
    UPSAMPLING,
    Colouriser,
    Distance,
    EvaluationError,
    EvaluationSet,
    Paint,
    Progress,
    evaluate,
    find_landscapes,
    find_set,
    open_model,
    rival_systems,
)
from training.files import check_output
from training.scores import EvaluationReport, ModelInfo, SetScore
from training.sheets import draw_strip, save_sheet, spread, worst

MOST_STRIPS = 40
_WORST = "worst"


@dataclass(frozen=True)
class Comparison:
    """The report, and the contact sheets that were written."""

    report: EvaluationReport
    sheets: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """How models are run: see `training.evaluate.open_model` and `training.evaluate.Colouriser`."""

    engine: str = "auto"
    device: str = "auto"
    size: int = 256
    upsampling: str = "linear"
    temperature: float = 0.4
    saturation: float = 1.0


@dataclass(frozen=True, kw_only=True)
class SheetPlan:
    """Which sheets to draw: ``output`` is a PNG file.

    With ``worst`` it is one sheet of that many pictures, from all sets, with the first model's largest CIEDE2000.
    Otherwise each set, and each folder of ``old`` photographs without a truth, has its sheet of at most 40 pictures; if
    there are several sheets, the set's name is added to the file name.
    """

    output: Path
    worst: int | None = None
    old: Sequence[Path] = ()

    def named(self, name: str) -> Path:
        """Return the file of the sheet ``name``, of several."""
        return self.output.with_stem(f"{self.output.stem}-{name}")

    def names(self, sets: Sequence[str]) -> list[Path]:
        """Return all files that may be written for ``sets``."""
        return [self.output, *map(self.named, (_WORST, *sets))]


def compare_command(
    models: Sequence[str],
    sets: Sequence[Path],
    *,
    landscapes: Sequence[Path] = (),
    settings: ModelSettings | None = None,
    rivals: bool = False,
    limit: int | None = None,
    lpips_weights: Path | None = None,
    sheet: SheetPlan | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Measure ``models`` and the grey picture on evaluation folders; with ``rivals``, also the rivals' results there.

    From a folder in ``landscapes`` the set ``landscape224`` is taken. ``limit`` is the maximum number of pictures in a
    set. Without ``lpips_weights`` LPIPS is left out, and the report says so. Raises `EvaluationError` for invalid
    folders, pictures and settings, `SourceError` for a sheet that would replace an input or lie among them, and the
    errors of `training.evaluate.open_model`.
    """
    settings = settings or ModelSettings()
    if settings.upsampling not in UPSAMPLING:
        raise EvaluationError(f"upsampling must be one of {', '.join(UPSAMPLING)}, not {settings.upsampling}")
    found = [find_set(folder, limit=limit) for folder in sets]
    found += [find_landscapes(folder, limit=limit) for folder in landscapes]
    old = [find_set(folder, limit=limit) for folder in sheet.old] if sheet else []
    _require_distinct([one.name for one in (*found, *old)], "sets")
    if sheet is not None:
        files = [path for path in (*map(Path, models), lpips_weights) if path is not None and path.is_file()]
        for path in sheet.names([one.name for one in (*found, *old)]):
            check_output(path, [*sets, *landscapes, *sheet.old, *files])
    distance, notes = _lpips(lpips_weights)
    with _opened(models, settings) as (predictors, infos, opening_notes):
        by_set = {one.name: {**predictors, **(rival_systems(one) if rivals else GREY)} for one in found}
        scores: list[SetScore] = []
        for one in found:
            systems = by_set[one.name]
            scores += evaluate(one, systems, size=settings.size, distance=distance, progress=progress)
        drawn: tuple[Path, ...] = ()
        if sheet is not None:
            drawn = _draw(sheet, found, by_set, scores, old, predictors)
    report = EvaluationReport(
        models=infos,
        network_size=settings.size,
        chroma_upsampling=settings.upsampling,
        scores=tuple(scores),
        notes=(*opening_notes, *(notes if scores else ())),
    )
    return Comparison(report=report, sheets=drawn)


def _require_distinct(names: Sequence[str], what: str) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise EvaluationError(f"two {what} are called {', '.join(twice)}", advice="Name each once.")


Opened = tuple[Mapping[str, Paint], tuple[ModelInfo, ...], tuple[str, ...]]


@contextmanager
def _opened(models: Sequence[str], settings: ModelSettings) -> Iterator[Opened]:
    """Yield the models as predictors by name, information about them, and notes; they are closed afterwards."""
    with ExitStack() as stack:
        engines: list[Network] = []
        notes: list[str] = []
        for model in models:
            engine, passed_over = _open(model, settings)
            stack.callback(engine.close)
            engines.append(engine)
            notes += passed_over
        names = _names(models, engines)
        infos = []
        for name, model, engine in zip(names, models, engines, strict=True):
            cost, unknown = measure_cost(model, engine)
            notes += unknown
            spec = engine.spec
            infos.append(ModelInfo(name, spec.runtime, spec.device, spec.precision, spec.weights_sha256, cost))
        predictors = {name: _predictor(engine, settings) for name, engine in zip(names, engines, strict=True)}
        yield predictors, tuple(infos), tuple(dict.fromkeys(notes))


def _names(models: Sequence[str], engines: Sequence[Network]) -> list[str]:
    """Return the engines' names for their models; if two are the same, with the user's names for them."""
    counted = Counter(engine.spec.model for engine in engines)
    names = [
        engine.spec.model if counted[engine.spec.model] == 1 else f"{engine.spec.model} ({model})"
        for model, engine in zip(models, engines, strict=True)
    ]
    _require_distinct(names, "models")
    return names


@contextmanager
def predictor_of(model: str, settings: ModelSettings) -> Iterator[tuple[str, Paint]]:
    """Yield the name of one model and its predictor, which is closed afterwards. Raises the errors of `open_model`."""
    network, _ = _open(model, settings)
    try:
        yield network.spec.model, _predictor(network, settings)
    finally:
        network.close()


def _open(model: str, settings: ModelSettings) -> tuple[Network, tuple[str, ...]]:
    return open_model(
        model,
        engine=settings.engine,
        device=settings.device,
        temperature=settings.temperature,
        saturation=settings.saturation,
    )


def _predictor(engine: Network, settings: ModelSettings) -> Paint:
    colourise = Colouriser(engine, size=settings.size, upsampling=settings.upsampling)

    def paint(_number: int, lightness: F32) -> U8:
        return colourise(lightness)

    return paint


def _draw(
    plan: SheetPlan,
    found: Sequence[EvaluationSet],
    systems: Mapping[str, Mapping[str, Paint]],
    scores: Sequence[SetScore],
    old: Sequence[EvaluationSet],
    predictors: Mapping[str, Paint],
) -> tuple[Path, ...]:
    by_name = {one.name: one for one in found}
    wanted: list[tuple[str, list[tuple[EvaluationSet, int]]]]
    if plan.worst is not None:
        first = next(iter(predictors))
        chosen = worst([score for score in scores if score.system == first], plan.worst)
        wanted = [(_WORST, [(by_name[name], number) for name, number in chosen])] if chosen else []
    else:
        wanted = [(one.name, [(one, number) for number in spread(len(one.truths), MOST_STRIPS)]) for one in found]
    wanted += [(one.name, [(one, number) for number in spread(len(one.truths), MOST_STRIPS)]) for one in old]
    if not wanted:
        raise EvaluationError("a contact sheet needs pictures", advice="Name a folder of photographs.")
    sheets = []
    for name, places in wanted:
        path = plan.output if len(wanted) == 1 else plan.named(name)
        strips = [
            draw_strip(one, number, systems.get(one.name, predictors), truth=one not in old, scores=scores)
            for one, number in places
        ]
        sheets.append(save_sheet(strips, path))
    return tuple(sheets)


def _lpips(weights: Path | None) -> tuple[Distance | None, tuple[str, ...]]:
    if weights is None:
        return None, ("LPIPS was left out: no weights were given.",)
    try:
        from training.lpips import Lpips
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"LPIPS needs the Python package {error.name}",
            advice=f"Install {DISTRIBUTION}[train], or leave LPIPS out.",
        ) from error
    return Lpips(weights), ()
