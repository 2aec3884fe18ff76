"""State shared by all parts of a run: its folders, options, outputs and stop request."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.archive.bag import PAYLOAD, check_bag
from pipeline.archive.ledger import Ledger
from pipeline.archive.output_folder import home, own_folders
from pipeline.archive.run_log import Reporter
from pipeline.archive.run_options import RunOptions
from pipeline.archive.walk import PHOTO_SUFFIXES, RESULT_MARK
from pipeline.corrections import CorrectionTree, check_corrections, corrections_beside
from pipeline.errors import InputError, UsageError
from pipeline.interruption import StopReason, StopRequest
from pipeline.options import Options
from pipeline.originals import Originals, lies_in
from pipeline.os_errors import is_there, writing


@dataclass(frozen=True, kw_only=True)
class Archive:
    """The folder of sources, the folder of results, and the options for getting from one to the other."""

    source: Path
    output: Path
    options: Options
    run_options: RunOptions

    @property
    def originals(self) -> Originals:
        """Files and folders that no output may replace."""
        return Originals((self.source,))

    @property
    def corrections(self) -> CorrectionTree:
        """Corrections to the items, in the output folder or in another tree."""
        if self.run_options.corrections is not None:
            return CorrectionTree(self.run_options.corrections, originals=self.originals)
        return corrections_beside(self.output, originals=self.originals)

    @property
    def home(self) -> Path:
        """The folder for files that a run keeps beside its results."""
        return home(self.output, self.run_options.shard)

    @property
    def tree(self) -> Path:
        """The root of the tree of results: the output folder, or ``data`` in it for a bag."""
        return self.output / PAYLOAD if self.run_options.bag else self.output

    def command(self) -> list[str]:
        """Return the command that continues this archive, with the arguments that identify it."""
        words = ["colorize-archive", str(self.source.resolve()), "-o", str(self.output.resolve())]
        if (shard := self.run_options.shard) is not None:
            words += ["--shard", str(shard)]
        if self.run_options.bag:
            words.append("--bag")
        if self.run_options.corrections is not None:
            words += ["--corrections", str(self.run_options.corrections.resolve())]
        return words

    def check(self) -> None:
        """Raise `InputError` unless the source and the corrections are folders.

        Raises `UsageError` if one folder lies in the other, or if the output is a bag and ``bag`` is not set, or vice
        versa.
        """
        source, output = self.source, self.output
        if not is_there(source):
            raise InputError(f"{source}: no such folder", advice="Check the path.")
        if not source.is_dir():
            one = "colorize-photo" if source.suffix.lower() in PHOTO_SUFFIXES else "colorize-video"
            raise UsageError(f"{source}: not a folder", advice=f"For a single one use {one} {source}")
        with writing(output):
            is_file = output.exists() and not output.is_dir()
        if is_file:
            raise UsageError(f"{output}: not a folder", advice="Name a folder with --output.")
        whole = Path(os.path.realpath(output))
        # Folders whose real path is in the output folder are as far from the source as that is.
        elsewhere = (place for place in own_folders(output) if not Path(os.path.realpath(place)).is_relative_to(whole))
        for place in (output, output / PAYLOAD, *elsewhere):
            if lies_in(place, source) or lies_in(source, place):
                raise UsageError(
                    f"{place}: one of source and output is inside the other",
                    advice="Name a folder outside the source with --output.",
                )
        check_bag(output, bag=self.run_options.bag)
        check_corrections(self.run_options.corrections)


@dataclass(frozen=True, kw_only=True)
class RunContext(Archive):
    """One run, with number ``run`` in the ledger."""

    ledger: Ledger
    reporter: Reporter
    stop: StopRequest
    run: int

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether planning should stop. At a deadline planning continues, to find out what remains."""
        return self.stop.reason not in (None, StopReason.TIME)


def archive_at(
    source: Path | str,
    output: Path | str | None = None,
    options: Options | None = None,
    run_options: RunOptions | None = None,
) -> Archive:
    """Return the archive of these folders, with defaults for what is not given. Does not access the disk."""
    source, run_options = Path(source), run_options or RunOptions()
    output = default_output(source) if output is None else Path(output)
    if run_options.uses_other_processes:
        source, output = source.absolute(), output.absolute()
    return Archive(source=source, output=output, options=options or Options(), run_options=run_options)


def default_output(source: Path) -> Path:
    """Return the default folder for results, beside ``source``."""
    whole = source if source.name not in ("", "..") else source.resolve()
    return whole.parent / f"{whole.name}-{RESULT_MARK}"
