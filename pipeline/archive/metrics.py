"""Figures for monitoring, as a text file that the Prometheus node exporter collects.

Format: Prometheus text exposition format 0.0.4. The file appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.originals import Originals
from pipeline.publish import publishing


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How an archive and its last run stand.

    ``items`` counts the work items by state. ``done``, ``failed`` and ``skipped`` are those of the run, ``seconds``
    its duration, ``exit_code`` what it ended with. ``started`` and ``last_success`` (the end of the last run that
    ended with exit code 0; None before the first) are in seconds since 1970, ``free_bytes`` is the room on the
    output's disk. ``archive`` and ``shard`` tell the series of several archives apart.
    """

    archive: str
    shard: str = ""
    version: str
    items: Mapping[str, int] = field(default_factory=dict)
    done: int
    failed: int
    skipped: int
    started: float
    seconds: float
    exit_code: int
    last_success: float | None
    free_bytes: int


# The name, without its prefix, and what is said of it, in order.
_BEGINS = b"# HELP autochrome_"
_HELP = {
    "info": "Version of the program that wrote these figures.",
    "items": "Work items by state.",
    "run_done": "Items coloured by the last run.",
    "run_failed": "Items that failed in the last run.",
    "run_skipped": "Items that were done before the last run.",
    "run_start_timestamp_seconds": "Start of the last run.",
    "run_duration_seconds": "Duration of the last run.",
    "run_exit_code": "Exit code of the last run.",
    "last_success_timestamp_seconds": "End of the last run whose exit code was 0.",
    "disk_free_bytes": "Room on the disk of the results.",
}


def check_metrics_file(path: Path, *, originals: Originals) -> None:
    """Raise `UsageError` if ``path`` is one of ``originals``, or a file that `write_metrics` did not write."""
    originals.check(path)
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(_BEGINS)) != _BEGINS:
                raise UsageError(
                    f"{path}: is not a metrics file of this program; nothing was written",
                    advice="Name another file with --metrics.",
                )


def write_metrics(path: Path, figures: Figures, *, originals: Originals) -> None:
    """Write ``figures`` to ``path``, in place of what was there. Raises `OutputError` if it cannot be written."""
    # Collectors read every file that ends in .prom, half-written ones too.
    with publishing(path, overwrite=True, originals=originals, partial_suffix=".partial") as temporary:
        temporary.write_text(as_text(figures), encoding="utf-8")


def as_text(figures: Figures) -> str:
    """Return ``figures`` in the exposition format."""
    lines: list[str] = []
    common = {"archive": figures.archive, **({"shard": figures.shard} if figures.shard else {})}
    for name, help_ in _HELP.items():
        samples = list(_samples(name, figures))
        if samples:
            lines += [f"# HELP autochrome_{name} {help_}", f"# TYPE autochrome_{name} gauge"]
        for labels, value in samples:
            inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in {**common, **labels}.items())
            lines.append(f"autochrome_{name}{{{inner}}} {value:.17g}")
    return "\n".join(lines) + "\n"


def _samples(name: str, figures: Figures) -> Iterator[tuple[dict[str, str], float]]:
    if name == "info":
        yield {"version": figures.version}, 1
    elif name == "items":
        yield from (({"state": str(state)}, number) for state, number in figures.items.items())
    else:
        value = {
            "run_done": figures.done,
            "run_failed": figures.failed,
            "run_skipped": figures.skipped,
            "run_start_timestamp_seconds": figures.started,
            "run_duration_seconds": figures.seconds,
            "run_exit_code": figures.exit_code,
            "last_success_timestamp_seconds": figures.last_success,
            "disk_free_bytes": figures.free_bytes,
        }[name]
        if value is not None:
            yield {}, value


def _escaped(text: str) -> str:
    encodable = text.encode("utf-8", "replace").decode("utf-8")
    return encodable.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
