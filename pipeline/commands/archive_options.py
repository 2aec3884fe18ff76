"""Options of ``colorize-archive`` alone: what a run takes, when it stops, what it leaves behind."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

from pipeline.archive.run_options import Shard
from pipeline.commands.common_options import RUN, option, switch
from pipeline.commands.values import parse_shard, parse_since, parse_size, parse_until

TAKEN, LEFT = "What is taken", "What is left behind"

Include = Annotated[
    list[str] | None,
    option(TAKEN, "--include", metavar="PATTERN", says="Only files like '*.tif' or 'people/**'; can be repeated."),
]
Exclude = Annotated[
    list[str] | None,
    option(TAKEN, "--exclude", metavar="PATTERN", says="No files or folders like this; can be repeated."),
]
Since = Annotated[
    datetime | None,
    option(TAKEN, "--since", metavar="TIME", parser=parse_since, says="Changed since 2026-01-31, or 7d ago."),
]
ShardOption = Annotated[
    Shard | None,
    option(TAKEN, "--shard", metavar="I/N", parser=parse_shard, says="Part I of N, for N machines or jobs."),
]
FollowLinks = Annotated[bool, switch(TAKEN, "--follow-links", says="Enter folders behind links.")]
VerifyAll = Annotated[
    bool, switch(TAKEN, "--verify-all", says="Read all that is done and compare fingerprints, not size and time.")
]

Until = Annotated[
    datetime | None,
    option(RUN, "--until", metavar="TIME", parser=parse_until, says="Stop in order at 06:00, or 2026-01-31T06:00."),
]
Jobs = Annotated[int, option(RUN, "--jobs", metavar="N", min=1, says="So many films at a time.")]
Retry = Annotated[int, option(RUN, "--retry", metavar="N", min=0, says="More attempts where a failure may pass.")]
QuarantineAfter = Annotated[
    int,
    option(
        RUN, "--quarantine-after", metavar="N", min=1, says="Set aside what failed in so many runs, until it changes."
    ),
]
KeepFree = Annotated[
    int,
    option(
        RUN,
        "--keep-free",
        metavar="SIZE",
        parser=parse_size,
        show_default=False,
        says="Stop before less than this is free: 5GB, 500MB. Without it: 1GiB.",
    ),
]

NoSidecars = Annotated[bool, switch(LEFT, "--no-sidecars", says="No record in JSON beside every result.")]
Bag = Annotated[bool, switch(LEFT, "--bag", says="Make the results a bag (BagIt, RFC 8493), with a manifest.")]
NoReport = Annotated[bool, switch(LEFT, "--no-report", says="No report.html.")]
Log = Annotated[Path | None, option(LEFT, "--log", metavar="FILE", says="Append what happens, as JSON Lines.")]
Metrics = Annotated[
    Path | None, option(LEFT, "--metrics", metavar="FILE", says="Figures for Prometheus' textfile collector.")
]
