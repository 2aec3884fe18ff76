"""Options shared by commands, and their help texts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.commands.configuration import apply_settings
from pipeline.commands.values import parse_device, parse_every, parse_hint
from pipeline.options import Codec, Hint, OnDamage, Quality, Tone, TreatAs
from pipeline.settings import FILE_NAME
from pipeline.version import DISTRIBUTION


class EngineName(StrEnum):
    """Runtimes that ``--engine`` accepts."""

    AUTO = "auto"
    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"
    TENSORRT = "tensorrt"


_COLUMN = 20


def folded(text: str) -> str:
    """Return ``text`` with every paragraph on one line, as required for help."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


EPILOG = folded(f"""
    Every option can also be set in {FILE_NAME} (engine = "openvino") or in the environment
    (AUTOCHROME_ENGINE=openvino). The command line takes precedence over the environment, and the environment over
    the file. Every switch has an opposite: --no-overwrite.

    Exit codes: 0 all done; 2 usage; 3 finished, but some items failed; 4 input unusable; 5 output or disk; 6 engine;
    7 verification failed; 8 missing dependency; 9 weights or configuration; 75 another run holds the lock;
    129, 130, 143 interrupted.
""")


def alternatives(kind: type[StrEnum]) -> str:
    """Return ``a|b|c`` for the help, split into lines so that its narrow column does not break words."""
    lines = [""]
    for number, member in enumerate(kind, start=1):
        word = f"{member}|" if number < len(kind) else str(member)
        if len(lines[-1]) + len(word) > _COLUMN:
            lines.append("")
        lines[-1] += word
    return "\n".join(lines)


def option(panel: str, *names: str, help: str, metavar: str, **more: Any) -> Any:
    """Return an option shown in ``panel`` of the help."""
    return typer.Option(*names, help=help, metavar=metavar, rich_help_panel=panel, show_envvar=False, **more)


def switch(panel: str, *names: str, help: str, **more: Any) -> Any:
    """Return a boolean option."""
    return option(panel, *names, help=help, metavar=" ", **more)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"autochrome {version(DISTRIBUTION)}")
        except PackageNotFoundError:
            typer.echo("autochrome, not installed: run from its source folder")
        raise typer.Exit


RESULT, RUN, DIAGNOSTICS = "Result options", "Run options", "Output and diagnostics"
_FROM = f"Settings file (TOML). Default: {FILE_NAME} in the current folder, if it exists."

Output = Annotated[Path | None, option(RESULT, "--output", "-o", metavar="PATH", help="Output file or folder.")]
EngineOption = Annotated[
    EngineName,
    option(
        RESULT,
        "--engine",
        metavar=alternatives(EngineName),
        help="Runtime of the network; auto: the fastest one that works here.",
    ),
]
DeviceOption = Annotated[
    str,
    option(
        RESULT,
        "--device",
        metavar="NAME",
        parser=parse_device,
        help="Hardware that the engine runs on: auto, cpu, gpu, npu, cuda, ... (docs/engines.md).",
    ),
]
ModelOption = Annotated[str, option(RESULT, "--model", metavar="NAME|FILE", help="Weights: a name or an ONNX file.")]
CodecOption = Annotated[Codec, option(RESULT, "--codec", metavar=alternatives(Codec), help="Video codec of films.")]
QualityOption = Annotated[
    Quality,
    option(
        RESULT,
        "--quality",
        metavar=alternatives(Quality),
        help="access: visually transparent, plays everywhere; master: lossless.",
    ),
]
Every = Annotated[
    int | None,
    option(
        RESULT,
        "--every",
        metavar="auto|N",
        parser=parse_every,
        help="Films: run the network on every N-th frame, or as motion requires (auto, the default).",
    ),
]
ToneOption = Annotated[
    Tone,
    option(
        RESULT,
        "--tone",
        metavar=alternatives(Tone),
        help="Replace tints (sepia, toned stock) with colour, or keep them.",
    ),
]
TreatAsOption = Annotated[
    TreatAs,
    option(RESULT, "--treat-as", metavar=alternatives(TreatAs), help="Override the detected type of the source."),
]
OnDamageOption = Annotated[
    OnDamage,
    option(
        RESULT,
        "--on-damage",
        metavar=alternatives(OnDamage),
        help="Damaged frames: fail, or conceal and list them.",
    ),
]
Deinterlace = Annotated[bool, switch(RESULT, "--deinterlace", help="Interlaced films: write progressive frames.")]
Verify = Annotated[
    bool,
    switch(RESULT, "--verify", help="Films: compare the luma of every frame with the source."),
]
Saturation = Annotated[
    float, option(RESULT, "--saturation", metavar="FACTOR", min=0, max=4, help="Strength of the colours; 0: no colour.")
]
HintOption = Annotated[
    list[Hint] | None,
    option(
        RESULT,
        "--hint",
        metavar="X,Y=COLOR",
        parser=parse_hint,
        help="Set the colour at a place: 0.4,0.6=#3A5FCD (fractions of width and height) or =neutral. In pixels: "
        "120px,80px=#3A5FCD. For films, at a time: 0.4,0.6=#3A5FCD@1:12.5. Repeatable.",
    ),
]
ReferenceOption = Annotated[
    Path | None,
    option(
        RESULT,
        "--reference",
        metavar="PICTURE|DIR",
        help="Take colours from a coloured picture, or from a folder of them: 1931.ref.jpg for 1931.jpg. For films, "
        "coloured frames: 000123.png, in archives film.refs/000123.png.",
    ),
]
Corrections = Annotated[
    Path | None,
    option(RESULT, "--corrections", metavar="DIR", help="Corrections to apply. Default: those kept with the results."),
]
Overwrite = Annotated[bool, switch(RESULT, "--overwrite", help="Replace existing results.")]
DryRun = Annotated[bool, switch(RUN, "--dry-run", help="Show what would be done; write nothing.")]
Config = Annotated[
    Path | None, option(RUN, "--config", metavar="FILE", help=_FROM, callback=apply_settings, is_eager=True)
]
Json = Annotated[bool, switch(DIAGNOSTICS, "--json", help="Print one JSON document on standard output.")]
Verbose = Annotated[
    int,
    option(
        DIAGNOSTICS,
        "--verbose",
        "-v",
        count=True,
        metavar=" ",
        show_default=False,
        help="Show log records; -vv: all of them.",
    ),
]
LogFile = Annotated[
    Path | None,
    option(DIAGNOSTICS, "--log-file", metavar="FILE", help="Append a log with tracebacks, for bug reports."),
]
Quiet = Annotated[bool, switch(DIAGNOSTICS, "--quiet", "-q", help="Print nothing but errors.")]
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
