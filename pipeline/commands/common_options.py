"""Options that commands share, and the words of their help."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.commands.configuration import apply_settings
from pipeline.commands.values import parse_every
from pipeline.options import Codec, OnDamage, Quality, Tone, TreatAs
from pipeline.settings import FILE_NAME


class EngineName(StrEnum):
    """Runtimes that ``--engine`` takes."""

    AUTO = "auto"
    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"
    TENSORRT = "tensorrt"


_COLUMN = 20


def folded(text: str) -> str:
    """Return ``text`` with every paragraph on one line, as help wants it."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


EPILOG = folded(f"""
    Every option can also stand in {FILE_NAME} (engine = "openvino") or in the environment (AUTOCHROME_ENGINE=openvino);
    the command line wins, then the environment. Every switch has its opposite: --no-overwrite.

    Exit codes: 0 all done; 2 usage; 3 finished, but some items failed; 4 input unusable; 5 output or disk; 6 engine;
    7 verification failed; 8 a dependency is missing; 9 weights or configuration; 75 another run is at work there;
    130, 143 interrupted.
""")


def alternatives(kind: type[StrEnum]) -> str:
    """Return ``a|b|c`` for the help, in lines that its narrow column need not break within a word."""
    lines = [""]
    for number, member in enumerate(kind, start=1):
        word = f"{member}|" if number < len(kind) else str(member)
        if len(lines[-1]) + len(word) > _COLUMN:
            lines.append("")
        lines[-1] += word
    return "\n".join(lines)


def option(panel: str, *names: str, says: str, metavar: str, **more: Any) -> Any:
    """Return an option of ``panel`` in the help."""
    return typer.Option(*names, help=says, metavar=metavar, rich_help_panel=panel, show_envvar=False, **more)


def switch(panel: str, *names: str, says: str, **more: Any) -> Any:
    """Return an option that is on or off."""
    return option(panel, *names, says=says, metavar=" ", **more)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"autochrome {version('autochrome')}")
        except PackageNotFoundError:
            typer.echo("autochrome, not installed: run from its source folder")
        raise typer.Exit


RESULT, RUN, SAID = "The result", "The run", "What is said"
_FROM = f"Settings, as TOML. Without it: {FILE_NAME} of the current folder, if there."

Output = Annotated[Path | None, option(RESULT, "--output", "-o", metavar="PATH", says="Where the result goes.")]
EngineOption = Annotated[
    EngineName,
    option(RESULT, "--engine", metavar=alternatives(EngineName), says="What runs the network; auto: the fastest here."),
]
ModelOption = Annotated[str, option(RESULT, "--model", metavar="NAME|FILE", says="Weights: a name or an ONNX file.")]
CodecOption = Annotated[Codec, option(RESULT, "--codec", metavar=alternatives(Codec), says="For films.")]
QualityOption = Annotated[
    Quality,
    option(
        RESULT,
        "--quality",
        metavar=alternatives(Quality),
        says="access looks the same and plays everywhere; master is lossless.",
    ),
]
Every = Annotated[
    int | None,
    option(
        RESULT,
        "--every",
        metavar="auto|N",
        parser=parse_every,
        says="For films: the network sees each N-th frame, or as motion asks (auto, the default).",
    ),
]
ToneOption = Annotated[
    Tone, option(RESULT, "--tone", metavar=alternatives(Tone), says="Tints: colour replaces them, or they are kept.")
]
TreatAsOption = Annotated[
    TreatAs, option(RESULT, "--treat-as", metavar=alternatives(TreatAs), says="What sources are taken for.")
]
OnDamageOption = Annotated[
    OnDamage,
    option(
        RESULT,
        "--on-damage",
        metavar=alternatives(OnDamage),
        says="Damaged frames end the film, or are concealed and named.",
    ),
]
Deinterlace = Annotated[bool, switch(RESULT, "--deinterlace", says="For interlaced films: write whole pictures.")]
Verify = Annotated[
    bool, switch(RESULT, "--verify", says="For films: compare all luma with the source's and show the proof.")
]
Overwrite = Annotated[bool, switch(RESULT, "--overwrite", says="Replace results that exist.")]
DryRun = Annotated[bool, switch(RUN, "--dry-run", says="Say what would be done; write nothing.")]
Config = Annotated[
    Path | None, option(RUN, "--config", metavar="FILE", says=_FROM, callback=apply_settings, is_eager=True)
]
Json = Annotated[bool, switch(SAID, "--json", says="One JSON document on standard output.")]
Verbose = Annotated[bool, switch(SAID, "--verbose", "-v", says="Show where errors arise.")]
Quiet = Annotated[bool, switch(SAID, "--quiet", "-q", says="Say nothing but errors.")]
Version = Annotated[
    bool,
    typer.Option(
        "--version",
        metavar=" ",
        help="Show the version.",
        callback=_show_version,
        is_eager=True,
        allow_from_autoenv=False,
    ),
]
