"""The results of an evaluation: scores per picture and per set, as tables, as JSON, and as part of a card."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from engines.errors import AutochromeError
from training.cost import Cost
from training.detectors import Faults

PSNR_CEILING = 100.0
PROTOCOL = "docs/evaluation.md"


class ReportError(AutochromeError):
    """An evaluation report that cannot be read, or that does not contain the requested model."""

    exit_code = 4


@dataclass(frozen=True)
class PictureScore:
    """One coloured picture against its truth; see `training.metrics` and `training.detectors` for the numbers."""

    name: str
    psnr_db: float
    ciede2000: float
    cf: float
    cf_truth: float
    auc: float
    argmax: float
    lpips: float | None
    faults: Faults


@dataclass(frozen=True)
class SetScore:
    """One system on one set: means over the pictures unless stated otherwise.

    ``delta_cf`` is the difference of the two sets' mean CF, ``delta_cf_pictures`` the mean of the pictures' own
    differences (both absolute). ``auc_rebalanced``, and of ``faults`` the hue bias and the shifts, are over all pixels
    of the set, and the checkerboard is that of the set's mean power. PSNR of equal pictures counts as 100 dB.
    """

    set_name: str
    system: str
    count: int
    psnr_db: float
    ciede2000: float
    cf: float
    cf_truth: float
    delta_cf: float
    delta_cf_pictures: float
    auc: float
    auc_rebalanced: float
    argmax: float
    lpips: float | None
    faults: Faults
    pictures: tuple[PictureScore, ...]


@dataclass(frozen=True)
class ModelInfo:
    """A model that was evaluated, and what ran it; ``name`` is the system's in the scores."""

    name: str
    runtime: str
    device: str
    precision: str
    weights_sha256: str
    cost: Cost


@dataclass(frozen=True)
class EvaluationReport:
    """Everything an evaluation found, and its settings.

    ``network_size`` is the short side in pixels that the networks saw; ``notes`` says what was left out and why.
    """

    models: tuple[ModelInfo, ...]
    network_size: int
    chroma_upsampling: str
    scores: tuple[SetScore, ...]
    notes: tuple[str, ...]

    def as_json(self) -> str:
        """Return the whole report as JSON; missing values are null."""
        return json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False)

    def as_markdown(self) -> str:
        """Return models, scores and faults as Markdown tables, followed by the notes."""
        sizes = f"Networks see {self.network_size} px; their colours are enlarged {self.chroma_upsampling}."
        parts = [_markdown(_MODEL_HEADINGS, map(_model_cells, self.models)), sizes]
        if self.scores:
            parts.append(_markdown(_HEADINGS, map(_cells, self.scores)))
            parts.append(_markdown(_FAULT_HEADINGS, map(_fault_cells, self.scores)))
        return "\n\n".join([*parts, *self.notes]) + "\n"

    def for_terminal(self) -> tuple[RenderableType, ...]:
        """Return the models, the main columns, and the notes, for a terminal of 80 characters."""
        machines = ", ".join(sorted({one.cost.machine for one in self.models}))
        sizes = Text(f"Networks see {self.network_size} px; ms at 256 x 256 on {machines}")
        models = _table(_MODEL_HEADINGS[:-2], (list(_model_cells(one))[:-2] for one in self.models))
        scores = [_table(_DECIDING, ([*_picked(one)] for one in self.scores))] if self.scores else []
        return sizes, models, *scores, *map(Text, self.notes)


def read_report(path: Path) -> EvaluationReport:
    """Read the output of `EvaluationReport.as_json`. Raises `ReportError`."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return EvaluationReport(
            models=tuple(ModelInfo(**{**one, "cost": Cost(**one["cost"])}) for one in document["models"]),
            network_size=document["network_size"],
            chroma_upsampling=document["chroma_upsampling"],
            scores=tuple(
                _with_faults(
                    SetScore, one, pictures=tuple(_with_faults(PictureScore, inner) for inner in one["pictures"])
                )
                for one in document["scores"]
            ),
            notes=tuple(document["notes"]),
        )
    except OSError as error:
        raise ReportError(f"{path}: cannot be read: {error.strerror}", advice="Check the path.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        advice = "Write one with colorize-model evaluate --json."
        raise ReportError(f"{path}: not an evaluation report of this version: {error!r}", advice=advice) from error


def _with_faults(kind: Any, values: Mapping[str, Any], **more: object) -> Any:
    return kind(**{**values, "faults": Faults(**values["faults"]), **more})


def as_card(report: EvaluationReport, *, model: str | None = None) -> dict[str, object]:
    """Return a model card's scores: the protocol, what ran it, and the rounded numbers of each set.

    ``model`` is its name in the report, and may be omitted if the report has one model. Shares are in per cent. Raises
    `ReportError` for a model that is not in the report, or was measured on no set.
    """
    chosen = [one for one in report.models if model in (None, one.name)]
    names = ", ".join(one.name for one in report.models)
    if len(chosen) != 1:
        wanted = "which model is meant is not said" if model is None else f"{model} is not in it"
        raise ReportError(f"the evaluation report: {wanted}", advice=f"Models in it: {names}.")
    (info,) = chosen
    sets = {score.set_name: _card_scores(score) for score in report.scores if score.system == info.name}
    if not sets:
        raise ReportError(f"the evaluation report has no scores of {info.name}", advice="Evaluate it on a set.")
    return {
        "protocol": PROTOCOL,
        "engine": f"{info.runtime}, {info.precision}",
        "device": info.device,
        "weights_sha256": info.weights_sha256,
        "network_size": report.network_size,
        "chroma_upsampling": report.chroma_upsampling,
        "flops_256": info.cost.flops,
        "milliseconds_256": round(info.cost.milliseconds, 1),
        "machine": info.cost.machine,
        "sets": sets,
    }


def _card_scores(score: SetScore) -> dict[str, float | int | None]:
    faults = score.faults
    return {
        "pictures": score.count,
        "psnr_db": round(score.psnr_db, 2),
        "ciede2000": round(score.ciede2000, 2),
        "colourfulness": round(score.cf, 1),
        "colourfulness_truth": round(score.cf_truth, 1),
        "auc": round(100 * score.auc, 2),
        "auc_rebalanced": round(100 * score.auc_rebalanced, 2),
        "argmax_ab": round(100 * score.argmax, 1),
        "lpips": _rounded(score.lpips, 4),
        "hue_bias": _rounded(faults.hue_bias, 3),
        "shift_a": round(faults.shift_a, 1),
        "shift_b": round(faults.shift_b, 1),
        "corners": round(faults.corners, 2),
        "checkerboard": round(faults.checkerboard, 3),
        "sharpness": _rounded(faults.sharpness, 2),
        "spill": None if faults.spill is None else round(100 * faults.spill, 1),
        "blotches": round(100 * faults.blotches, 2),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


_MODEL_HEADINGS = ("model", "parameters", "GFLOP", "ms", "precision", "runtime", "device")
_HEADINGS = (
    *("set", "system", "n", "PSNR", "CIEDE2000", "CF (truth)", "dCF", "dCF/picture", "AuC", "AuC rebal."),
    *("argmax", "LPIPS"),
)
_FAULT_HEADINGS = (
    *("set", "system", "hue bias", "shift a, b", "corners", "checkerboard", "sharpness", "spill", "blotches"),
)
_DECIDING = ("set", "system", "CIEDE2000", "CF (truth)", "AuC", "argmax", "spill", "blotches")


def _model_cells(model: ModelInfo) -> Iterator[str]:
    cost = model.cost
    yield model.name
    yield "-" if cost.parameters is None else f"{cost.parameters / 1e6:.2f} M"
    yield "-" if cost.flops is None else f"{cost.flops / 1e9:.2f}"
    yield f"{cost.milliseconds:.1f}"
    yield model.precision
    yield model.runtime
    yield f"{model.device}; {cost.machine}" if model.device not in cost.machine else cost.machine


def _cells(score: SetScore) -> Iterator[str]:
    yield score.set_name
    yield score.system
    yield str(score.count)
    yield f"{score.psnr_db:.2f}"
    yield f"{score.ciede2000:.2f}"
    yield f"{score.cf:.1f} ({score.cf_truth:.1f})"
    yield f"{score.delta_cf:.1f}"
    yield f"{score.delta_cf_pictures:.1f}"
    yield f"{100 * score.auc:.2f}"
    yield f"{100 * score.auc_rebalanced:.2f}"
    yield f"{100 * score.argmax:.1f} %"
    yield "-" if score.lpips is None else f"{score.lpips:.4f}"


def _fault_cells(score: SetScore) -> Iterator[str]:
    faults = score.faults
    yield score.set_name
    yield score.system
    yield "-" if faults.hue_bias is None else f"{faults.hue_bias:.3f}"
    yield f"{faults.shift_a:+.1f}, {faults.shift_b:+.1f}"
    yield f"{faults.corners:+.2f}"
    yield f"{faults.checkerboard:.3f}"
    yield "-" if faults.sharpness is None else f"{faults.sharpness:.2f}"
    yield "-" if faults.spill is None else f"{100 * faults.spill:.1f} %"
    yield f"{100 * faults.blotches:.2f} %"


def _picked(score: SetScore) -> Iterator[str]:
    cells = dict(zip(_HEADINGS, _cells(score), strict=True)) | dict(
        zip(_FAULT_HEADINGS, _fault_cells(score), strict=True)
    )
    return (cells[heading] for heading in _DECIDING)


def _markdown(headings: Sequence[str], rows: Iterator[Iterator[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _table(headings: Sequence[str], rows: Iterator[Sequence[str]]) -> Table:
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=heading != "system" and heading != "model", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table
