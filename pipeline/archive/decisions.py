"""What a person decides of an item's tone with one command, kept as its correction (docs/corrections.md)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pipeline.archive.context import Archive, RunContext
from pipeline.archive.plan import KINDS
from pipeline.archive.run_options import RunOptions
from pipeline.archive.walk import Selection, walk
from pipeline.errors import InputError, UsageError
from pipeline.options import TreatAs
from pipeline.results import Doubt, PhotoResult, shell_line


def keep_decision(context: RunContext) -> None:
    """Keep ``run_options.decide`` as the correction of every source that the run takes; AUTO takes it back.

    Raises `UsageError` where the run takes all sources, `OutputError` if the disk refuses.
    """
    decide, tree = context.run_options.decide, context.corrections
    if decide is None:
        return
    if not context.run_options.include:
        raise UsageError("--decide: for all files of the archive?", advice="Say of which with --include.")
    wanted = Selection.of(context.run_options)
    follow = context.run_options.follow_links
    for entry in walk(context.source, follow_links=follow, output=context.output, takes=wanted.takes_part):
        path = PurePosixPath(entry.name)
        if entry.kind not in KINDS or not wanted.takes_path(entry.name):
            continue
        try:
            file = tree.read(path)
        except InputError:
            # The run names it, as an error of this item.
            continue
        treat_as = None if decide is TreatAs.AUTO else decide
        if file.correction.treat_as is not treat_as:
            tree.write(path, file.revised(replace(file.correction, treat_as=treat_as)))


def with_commands(result: PhotoResult, context: Archive, path: str) -> PhotoResult:
    """Return ``result`` with the command that decides its doubts otherwise, in this and every later run.

    ``path`` is that of the source below the archive's folder, with ``/``.
    """
    if not result.doubts:
        return result
    command = archive_command(context.source, context.output, context.run_options)
    command += ["--include", f"/{pattern_of(path)}", "--decide"]

    def named(doubt: Doubt) -> Doubt:
        return replace(doubt, command=shell_line([*command, doubt.instead.value]))

    return replace(result, doubts=tuple(map(named, result.doubts)))


def archive_command(source: Path, output: Path, run_options: RunOptions) -> list[str]:
    """Return the words of the command that goes on with an archive, as far as ``run_options`` say where it is."""
    command = ["colorize-archive", str(source.resolve()), "-o", str(output.resolve())]
    if run_options.shard is not None:
        command += ["--shard", f"{run_options.shard.index}/{run_options.shard.count}"]
    if run_options.bag:
        command.append("--bag")
    if run_options.corrections is not None:
        command += ["--corrections", str(run_options.corrections.resolve())]
    return command


def pattern_of(path: str) -> str:
    """Return the pattern that matches ``path`` alone."""
    return re.sub(r"[*?[]", r"[\g<0>]", path)
