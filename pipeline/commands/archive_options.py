"""Options specific to ``colorize-archive``: selection, when a run stops, what it records."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

from pipeline.archive.run_options import Shard
from pipeline.commands.common_options import RESULT, RUN, alternatives, option, switch
from pipeline.commands.values import parse_place, parse_shard, parse_since, parse_size, parse_until
from pipeline.options import TreatAs

TAKEN, LEFT = "Selection", "Records"

Decide = Annotated[
    TreatAs | None,
    option(
        RESULT,
        "--decide",
        metavar=alternatives(TreatAs),
        help="State what the files of --include are, and keep this as corrections for later runs; auto reverts it.",
    ),
]
Include = Annotated[
    list[str] | None,
    option(
        TAKEN,
        "--include",
        metavar="PATTERN",
        help="Process only matching files, e.g. '*.tif', 'people/**'. Repeatable.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    option(TAKEN, "--exclude", metavar="PATTERN", help="Skip matching files and folders. Repeatable."),
]
Since = Annotated[
    datetime | None,
    option(
        TAKEN,
        "--since",
        metavar="TIME",
        parser=parse_since,
        help="Process only files changed since a date (2026-01-31) or within an age (7d).",
    ),
]
ShardOption = Annotated[
    Shard | None,
    option(TAKEN, "--shard", metavar="I/N", parser=parse_shard, help="Process shard I of N, for N machines or jobs."),
]
FollowLinks = Annotated[bool, switch(TAKEN, "--follow-links", help="Follow links to folders.")]
VerifyAll = Annotated[
    bool, switch(TAKEN, "--verify-all", help="Check finished items by SHA-256, not by size and time.")
]

Until = Annotated[
    datetime | None,
    option(
        RUN, "--until", metavar="TIME", parser=parse_until, help="Stop cleanly at a time: 06:00 or 2026-01-31T06:00."
    ),
]
Jobs = Annotated[int, option(RUN, "--jobs", metavar="N", min=1, help="Films in parallel.")]
On = Annotated[
    str,
    option(
        RUN,
        "--on",
        metavar="threads|processes|\nray|ray://HOST",
        parser=parse_place,
        help="Where to work: in threads, in processes on this machine, or on a Ray cluster.",
    ),
]
Workers = Annotated[
    int | None,
    option(RUN, "--workers", metavar="N", min=1, help="Number of processes or cluster workers. Default: one per core."),
]
Retry = Annotated[int, option(RUN, "--retry", metavar="N", min=0, help="Retries after a transient failure.")]
QuarantineAfter = Annotated[
    int,
    option(RUN, "--quarantine-after", metavar="N", min=1, help="Skip items that failed in N runs until they change."),
]
KeepFree = Annotated[
    int,
    option(
        RUN,
        "--keep-free",
        metavar="SIZE",
        parser=parse_size,
        show_default=False,
        help="Stop before free space falls below this (500MB, 5GB). Default: 1GiB.",
    ),
]

NoSidecars = Annotated[bool, switch(LEFT, "--no-sidecars", help="Write no JSON sidecars beside the results.")]
Bag = Annotated[bool, switch(LEFT, "--bag", help="Make the output a bag with manifests (BagIt, RFC 8493).")]
ReportOnly = Annotated[
    bool, switch(RUN, "--report-only", help="Colour nothing; write report, bag and metrics for all shards.")
]
NoReport = Annotated[bool, switch(LEFT, "--no-report", help="Write no report.html.")]
Log = Annotated[Path | None, option(LEFT, "--log", metavar="FILE", help="Append the events of the run as JSON Lines.")]
Metrics = Annotated[
    Path | None, option(LEFT, "--metrics", metavar="FILE", help="Write metrics for the Prometheus textfile collector.")
]
