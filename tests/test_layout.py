"""The layers of docs/architecture.md: who may import whom, who makes threads, who gives files their names."""

from __future__ import annotations

import ast
import gc
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.commands import ROOT

PACKAGES = ("engines", "pipeline", "training")
MODULES = sorted(
    [ROOT / "cli.py", *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))],
)

# The layers, lowest first: a part imports from itself and from the layers below its own. Parts of one layer do not
# import each other, except the foundation's, which do so without cycles.
FOUNDATION = (
    "pipeline.callbacks",
    "pipeline.film_time",
    "pipeline.corrections",
    "pipeline.diagnostics",
    "pipeline.documents",
    "pipeline.errors",
    "pipeline.file_locks",
    "pipeline.file_systems",
    "pipeline.interruption",
    "pipeline.locks",
    "pipeline.open_files",
    "pipeline.options",
    "pipeline.originals",
    "pipeline.os_errors",
    "pipeline.process",
    "pipeline.progress",
    "pipeline.publish",
    "pipeline.reference_files",
    "pipeline.results",
    "pipeline.settings",
    "pipeline.sizes",
    "pipeline.stages",
    "pipeline.terminal",
    "pipeline.version",
    "pipeline.wording",
)
LAYERS: tuple[tuple[str, ...], ...] = (
    ("engines", *FOUNDATION),
    ("pipeline.color", "pipeline.media", "training"),
    ("pipeline.film", "pipeline.photo"),
    ("pipeline.archive", "pipeline.review"),
    ("pipeline", "pipeline.commands", "cli"),
)
LAYER_OF = {name: layer for layer, names in enumerate(LAYERS) for name in names}
# In the lowest layer, engines know nothing of the pipeline; in the highest, only cli calls commands.
IN_ONE_LAYER = {("cli", "pipeline.commands"), ("pipeline.errors", "engines")}


# Names that this program once had for what the field has words for.
OWN_WORDS = {"sketch", "wash", "painter", "painters", "painted", "wound", "reels", "books", "stamp", "stamped", "tally"}
OWN_WORDS |= {"tallies", "companion", "companions", "lane", "lanes", "opinion", "opinions", "awaited", "revival"}
OWN_WORDS |= {"manner", "ending", "endings", "likeness", "glance", "labour", "heard", "lend", "lends", "lent", "said"}
OWN_WORDS |= {"told"}
# Names that say nothing.
OWN_WORDS |= {"utils", "helpers", "manager"}


def may_import(own: str, other: str) -> bool:
    """Whether the part ``own`` may import ``other``."""
    if (own, other) in IN_ONE_LAYER:
        return True
    if own in FOUNDATION and other in FOUNDATION:
        return True
    if own == "training":
        return other == "engines"
    return LAYER_OF[other] < LAYER_OF[own]


@cache
def part(module: str) -> str | None:
    """Return the part of the program that ``module`` belongs to; None for what is not ours."""
    return max((name for name in LAYER_OF if module == name or module.startswith(f"{name}.")), key=len, default=None)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    # The trees stay to the end. Looked through for garbage again and again they take three times as long.
    gc.disable()
    try:
        return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    finally:
        gc.freeze()
        gc.enable()


@cache
def imports(path: Path) -> list[tuple[int, str]]:
    """Return the line and the full name of every import of ``path``, in functions and for types as well."""
    found = []
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module is not None
            found += [(node.lineno, _imported(node.module, alias.name)) for alias in node.names]
    return found


@cache
def _imported(module: str, name: str) -> str:
    inner = ROOT.joinpath(*module.split("."), name)
    return f"{module}.{name}" if inner.is_dir() or inner.with_suffix(".py").exists() else module


@cache
def used_names(path: Path) -> frozenset[tuple[int, str]]:
    """Return every dotted name that ``path`` uses, with its line: ``os.replace``, ``Thread``, ``x.rename``."""
    used = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            used.add((node.lineno, f"{owner}.{node.attr}"))
        elif isinstance(node, ast.Name):
            used.add((node.lineno, node.id))
    return frozenset(used)


def given_names(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every name that ``path`` gives, with its line: of variables, parameters, functions and classes."""
    for node in nodes_of(path):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg


def words_of(name: str) -> set[str]:
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return set(re.findall(r"[a-z]+", parts.lower()))


def test_every_module_belongs_to_a_part_that_has_its_layer() -> None:
    assert not [name for name in map(name_of, MODULES) if part(name) is None], "give it its place in LAYERS"


def test_a_module_imports_only_from_the_layers_below_it() -> None:
    assert not [
        f"{path.relative_to(ROOT)}:{line}: {own} imports {name}"
        for path in MODULES
        if (own := part(name_of(path))) is not None
        for line, name in imports(path)
        if (other := part(name)) is not None and other != own and not may_import(own, other)
    ]


@pytest.mark.parametrize("package", ["pipeline.archive.ledger", "pipeline.archive.executors"])
def test_a_subsystem_of_the_archive_is_used_through_its_package(package: str) -> None:
    outside = [path for path in MODULES if not f"{name_of(path)}.".startswith(f"{package}.")]
    assert any(name == package for path in outside for _, name in imports(path))
    assert not [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in outside
        for line, name in imports(path)
        if name.startswith(f"{package}.")
    ]


def test_the_page_on_architecture_has_every_module_of_the_foundation() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("The foundation, one module per concern:")[2].partition("## ")[0]
    rows = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    assert sorted(f"pipeline.{name}" for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(FOUNDATION)


def test_modules_import_each_other_without_cycles() -> None:
    needed = {name_of(path): {name for _, name in imports(path)} for path in MODULES}
    TopologicalSorter({own: names & needed.keys() for own, names in needed.items()}).prepare()


def test_imports_are_absolute() -> None:
    assert not [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in MODULES
        for node in nodes_of(path)
        if isinstance(node, ast.ImportFrom) and node.level
    ]


def _lines(paths: list[Path], forbidden: set[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in paths
        for line, name in used_names(path)
        if name in forbidden or f".{name.rpartition('.')[2]}" in forbidden
    ]


@pytest.mark.parametrize(
    ("maker", "makers"),
    [
        ("stages.py", {".Thread", ".Timer", ".ThreadPoolExecutor", ".start_new_thread"}),
        ("archive/executors/processes.py", {".Process", ".ProcessPoolExecutor"}),
    ],
)
def test_one_module_makes_threads_and_one_processes(maker: str, makers: set[str]) -> None:
    pipeline = [path for path in MODULES if name_of(path).startswith("pipeline")]
    only = ROOT / "pipeline" / maker
    assert _lines([only], makers)
    assert not _lines([path for path in pipeline if path != only], makers)


def test_runtimes_are_imported_where_their_telemetry_is_turned_off() -> None:
    runtimes = {"onnxruntime", "openvino"}
    found = {path.stem for path in MODULES for _, name in imports(path) if name.partition(".")[0] in runtimes}
    # `half` imports a part of ONNX Runtime after the whole.
    assert found == {"optional", "half"}


def test_only_publish_makes_final_names() -> None:
    makers = {"os.replace", "os.rename", "os.link", "os.symlink", "shutil.move", "shutil.copy", "shutil.copyfile"}
    makers |= {".rename", ".hardlink_to", ".symlink_to", "shutil.copy2", "shutil.copytree"}
    pipeline = [path for path in MODULES if name_of(path).startswith("pipeline")]
    publish = ROOT / "pipeline" / "publish.py"
    assert _lines([publish], makers)
    assert not _lines([path for path in pipeline if path != publish], makers)


def test_one_module_opens_what_ffmpeg_reads_and_writes() -> None:
    only = ROOT / "pipeline" / "media" / "containers.py"
    assert _lines([only], {"av.open"})
    assert not _lines([path for path in MODULES if path != only], {"av.open"})


def test_words_of_our_own_do_not_come_back() -> None:
    paths = [*MODULES, *(ROOT / "benchmarks").rglob("*.py")]
    assert not [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in paths
        for line, name in given_names(path)
        if words_of(name) & OWN_WORDS
    ]
    assert not [path for path in paths if OWN_WORDS & set(path.stem.split("_"))]


@pytest.mark.parametrize("suffix", ["js", "css", "html"])
def test_words_of_our_own_do_not_come_back_in_pages(suffix: str) -> None:
    pages = list((ROOT / "pipeline").rglob(f"*.{suffix}"))
    assert pages
    text = re.compile(r"/\*.*?\*/|^\s*//.*?$", re.DOTALL | re.MULTILINE)
    assert not [
        f"{path.relative_to(ROOT)}: {name}"
        for path in pages
        for name in re.findall(r"\w+", text.sub("", path.read_text(encoding="utf-8")))
        if words_of(name) & OWN_WORDS
    ]


def test_modules_are_at_most_400_lines() -> None:
    assert not [str(path) for path in MODULES if len(path.read_text(encoding="utf-8").splitlines()) > 400]
