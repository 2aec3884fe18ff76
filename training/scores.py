"""What an evaluation answers with: scores per picture and per set, as a table and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass

from rich.box import SIMPLE
from rich.table import Table

PSNR_CEILING = 100.0


@dataclass(frozen=True)
class PictureScore:
    """One coloured picture against its truth; see `training.metrics` for the numbers."""

    name: str
    psnr_db: float
    ciede2000: float
    cf: float
    cf_truth: float
    auc: float
    argmax: float
    lpips: float | None


@dataclass(frozen=True)
class SetScore:
    """One system on one set: means over the pictures unless said otherwise.

    ``delta_cf`` is the difference of the two sets' mean CF, ``delta_cf_pictures`` the mean of the pictures' own
    differences (both without sign). ``auc_rebalanced``, ``hue_bias`` and the shifts (mean a* and b* of the result
    less the truth's) are over all pixels of the set. PSNR of equal pictures counts as 100 dB.
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
    hue_bias: float | None
    shift_a: float
    shift_b: float
    lpips: float | None
    pictures: tuple[PictureScore, ...]


@dataclass(frozen=True)
class EvaluationReport:
    """Everything an evaluation found, and what it was made with.

    ``network_size`` is the short side in pixels that the network saw; ``notes`` says what was left out and why.
    """

    model: str
    runtime: str
    device: str
    precision: str
    weights_sha256: str
    network_size: int
    chroma_upsampling: str
    scores: tuple[SetScore, ...]
    notes: tuple[str, ...]

    def as_json(self) -> str:
        """Return the whole report as JSON; values that do not exist are null."""
        return json.dumps(dataclasses.asdict(self), indent=1, allow_nan=False)

    def as_markdown(self) -> str:
        """Return the scores as a Markdown table, followed by the notes."""
        rows = [_HEADINGS, ["---"] * len(_HEADINGS), *(_cells(score) for score in self.scores)]
        text = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        return "\n\n".join([text, *self.notes]) + "\n"

    def as_table(self) -> Table:
        """Return the columns that decide as a table for a terminal of 80 characters."""
        table = Table(box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
        table.title = f"{self.model}, {self.network_size} px, {self.runtime} on {self.device}"
        for heading in _DECIDING:
            table.add_column(heading, no_wrap=True)
        for score in self.scores:
            cells = dict(zip(_HEADINGS, _cells(score), strict=True))
            table.add_row(*(cells[heading] for heading in _DECIDING))
        return table


_HEADINGS = (
    *("set", "system", "n", "PSNR", "CIEDE2000", "CF (truth)", "dCF", "dCF/picture", "AuC", "AuC rebal."),
    *("argmax", "hue bias", "shift a, b", "LPIPS"),
)
_DECIDING = ("set", "system", "CIEDE2000", "CF (truth)", "dCF", "AuC", "argmax")


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
    yield "-" if score.hue_bias is None else f"{score.hue_bias:.3f}"
    yield f"{score.shift_a:+.1f}, {score.shift_b:+.1f}"
    yield "-" if score.lpips is None else f"{score.lpips:.4f}"
