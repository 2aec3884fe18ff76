"""Metrics for monitoring, as a text file for the Prometheus node exporter, written atomically."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from pipeline.archive.context import Archive
from pipeline.archive.ledger import LedgerReader, RunRecord, read_ledger
from pipeline.archive.output_folder import free_space
from pipeline.archive.run_options import RunOptions
from pipeline.errors import AutochromeError, UsageError
from pipeline.interruption import Cancelled
from pipeline.originals import Originals
from pipeline.publish import check_replaceable, publishing
from pipeline.version import program_version
from pipeline.wording import encodable


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The state of an archive and of its last run.

    ``items`` counts the work items by state; empty if the ledger cannot be read. ``shards`` counts the shards by
    status, if these figures cover all of them; the figures of the last run are then totals over the last run of each
    shard, and ``last_success`` is the time since which all of them were good. ``done``, ``failed`` and ``skipped`` are
    counts of the run, ``kept`` of the done ones were copied; ``seconds`` is its duration, ``exit_code`` its exit code.
    ``started`` and ``last_success`` (the end of the last run with exit code 0; None before the first) are in seconds
    since 1970, ``free_bytes`` is the free space on the output's disk, None if it does not respond. ``archive`` and
    ``shard`` distinguish the series of several archives.
    """

    archive: str
    shard: str = ""
    version: str
    items: Mapping[str, int] = field(default_factory=dict)
    shards: Mapping[str, int] = field(default_factory=dict)
    done: int = 0
    kept: int = 0
    failed: int = 0
    skipped: int = 0
    started: float
    seconds: float
    exit_code: int
    last_success: float | None
    free_bytes: int | None


_PREFIX = "autochrome_"
_BEGINS = f"# HELP {_PREFIX}".encode()


def _check_metrics_file(path: Path, *, originals: Originals) -> None:
    """Raise `UsageError` if ``path`` is one of ``originals``, a device, or a file not written by `write_metrics`."""
    originals.check(path)
    check_replaceable(path)
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(_BEGINS)) != _BEGINS:
                raise UsageError(
                    f"{path}: is not a metrics file of this program; nothing was written",
                    advice="Name another file with --metrics.",
                )


def write_metrics(path: Path, figures: Figures, *, originals: Originals) -> None:
    """Write ``figures`` to ``path``, replacing its content. Raises `OutputError` if it cannot be written."""
    # Collectors read every file whose name ends in .prom, even half-written ones.
    with publishing(path, overwrite=True, originals=originals, partial_suffix=".partial") as temporary:
        temporary.write_text(as_text(figures), encoding="utf-8")


@contextmanager
def metrics_of_failed_start(archive: Archive) -> Iterator[Callable[[], None]]:
    """Write the exit code of a run that fails to start into its metrics, replacing that of the previous run.

    Call the yielded function once the run has started. Raises `UsageError` if the file is not ours.
    """
    metrics = archive.run_options.metrics
    if metrics is not None:
        _check_metrics_file(metrics, originals=archive.originals)
    started, has_begun = time.time(), False

    def begin() -> None:
        nonlocal has_begun
        has_begun = True

    try:
        yield begin
    except (Exception, Cancelled) as error:
        if not has_begun and metrics is not None:
            figures = Figures(
                archive=str(archive.output),
                shard=shard_label(archive.run_options),
                version=program_version(),
                started=started,
                seconds=round(time.time() - started, 3),
                exit_code=getattr(error, "exit_code", 1),
                **_last_known(archive),
            )
            with suppress(AutochromeError):
                write_metrics(metrics, figures, originals=archive.originals)
        raise


def _last_known(archive: Archive) -> dict[str, Any]:
    found: dict[str, Any] = {"items": {}, "last_success": None, "free_bytes": None}
    with suppress(AutochromeError):
        found["free_bytes"] = free_space(archive.output)
        ledger = read_ledger(archive.output, shard=archive.run_options.shard)
        if ledger is not None:
            with ledger:
                found |= known_figures(ledger)
    return found


def known_figures(ledger: LedgerReader) -> dict[str, Any]:
    """Return the fields of `Figures` that the ledger contains."""
    good: list[RunRecord] = [run for run in ledger.runs() if run.exit_code == 0]
    items = {state.value: count for state, count in ledger.counts().items()}
    return {"items": items, "last_success": good[-1].ended if good else None}


def shard_label(run_options: RunOptions) -> str:
    """Return the label of a shard: ``3/16``; empty for the whole archive."""
    shard = run_options.shard
    return str(shard) if shard else ""


def as_text(figures: Figures) -> str:
    """Return ``figures`` in the text exposition format 0.0.4."""
    registry = CollectorRegistry()
    common = {"archive": encodable(figures.archive), **({"shard": figures.shard} if figures.shard else {})}

    def gauge(name: str, help_: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}{name}", help_, (*common, *labels), registry=registry)

    gauge("info", "Version of the program that wrote these figures.", "version").labels(
        **common, version=figures.version
    ).set(1)
    if figures.items:
        items = gauge("items", "Work items by state.", "state")
        for state, count in figures.items.items():
            items.labels(**common, state=state).set(count)
    if figures.shards:
        shards = gauge("shards", "Shards of the archive by how their last runs ended.", "status")
        for status, count in figures.shards.items():
            shards.labels(**common, status=status).set(count)
    for name, help_, value in _samples(figures):
        if value is not None:
            gauge(name, help_).labels(**common).set(value)
    return generate_latest(registry).decode("utf-8")


def _samples(figures: Figures) -> list[tuple[str, str, float | None]]:
    """Return the metrics with one sample each: name without the prefix, help text, value."""
    return [
        ("run_done", "Items done by the last run.", figures.done),
        ("run_kept", "Items of these that were copied: coloured already, or their tint is wanted.", figures.kept),
        ("run_failed", "Items that failed in the last run.", figures.failed),
        ("run_skipped", "Items that were done before the last run.", figures.skipped),
        ("run_start_timestamp_seconds", "Start of the last run.", figures.started),
        ("run_duration_seconds", "Duration of the last run.", figures.seconds),
        ("run_exit_code", "Exit code of the last run.", figures.exit_code),
        ("last_success_timestamp_seconds", "End of the last run whose exit code was 0.", figures.last_success),
        ("disk_free_bytes", "Room on the disk of the results.", figures.free_bytes),
    ]
