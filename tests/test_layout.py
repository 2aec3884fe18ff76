"""The house stands as designed: who may import whom, who makes threads, who gives files their names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("engines", "pipeline", "training")
MODULES = sorted(
    [ROOT / "cli.py", *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))],
)
IDS = [str(path.relative_to(ROOT)) for path in MODULES]

# The parts of the house, the most particular name first, with the parts each may lean on besides itself.
FOUNDATION = {
    "pipeline.boundaries",
    "pipeline.documents",
    "pipeline.errors",
    "pipeline.interruption",
    "pipeline.options",
    "pipeline.progress",
    "pipeline.results",
    "pipeline.version",
}
PARTS: dict[str, set[str]] = {
    "cli": {"pipeline", "pipeline.commands", "pipeline.terminal", "engines", "training", *FOUNDATION},
    "pipeline.commands": {"pipeline.archive", "pipeline.color", "pipeline.media", "pipeline.video"}
    | {"pipeline.settings", "pipeline.terminal"}
    | FOUNDATION,
    "pipeline.settings": {"pipeline.errors"},
    "pipeline.terminal": FOUNDATION,
    "pipeline.archive": {"pipeline.video", "pipeline.photo", "pipeline.color", "pipeline.media"}
    | {"pipeline.stages"}
    | FOUNDATION,
    "pipeline.video": {"pipeline.color", "pipeline.media", *FOUNDATION}
    | {"pipeline.painted", "pipeline.shotlog", "pipeline.winding"},
    "pipeline.winding": {"pipeline.color", "pipeline.media", "pipeline.painted", "pipeline.shotlog", *FOUNDATION},
    "pipeline.painted": {"pipeline.color", "pipeline.media", "pipeline.stages", *FOUNDATION},
    "pipeline.shotlog": {"pipeline.color", "pipeline.painted", "pipeline.previews", *FOUNDATION},
    "pipeline.photo": {"pipeline.color", "pipeline.media", "pipeline.picture", "pipeline.stages", "engines"}
    | FOUNDATION,
    "pipeline.picture": {"pipeline.color", "pipeline.media", "pipeline.previews", *FOUNDATION},
    "pipeline.previews": {"pipeline.color", *FOUNDATION},
    "pipeline.color": {"engines", "pipeline.stages", *FOUNDATION},
    "pipeline.media": {"pipeline.stages", *FOUNDATION},
    "pipeline.stages": set(),
    "pipeline.boundaries": {"pipeline.interruption", "pipeline.progress", "pipeline.results"},
    "pipeline.documents": {"pipeline.results"},
    "pipeline.errors": {"engines.errors"},
    "pipeline.interruption": set(),
    "pipeline.options": set(),
    "pipeline.progress": {"pipeline.results"},
    "pipeline.results": {"pipeline.errors"},
    "pipeline.version": set(),
    "engines.errors": set(),
    "pipeline": {"pipeline.archive", "pipeline.video", "pipeline.photo", "pipeline.color", *FOUNDATION},
    "engines": {"engines.errors"},
    "training": {"engines", "engines.errors"},
}


def part(module: str) -> str | None:
    """Return the part of the house that ``module`` belongs to; None for what is not ours."""
    return max((name for name in PARTS if module == name or module.startswith(f"{name}.")), key=len, default=None)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and the full name of every import of ``path``, in functions and for types as well."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module is not None
            yield from ((node.lineno, _imported(node.module, alias.name)) for alias in node.names)


def _imported(module: str, name: str) -> str:
    inner = ROOT.joinpath(*module.split("."), name)
    return f"{module}.{name}" if inner.is_dir() or inner.with_suffix(".py").exists() else module


def used_names(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every dotted name that ``path`` uses, with its line: ``os.replace``, ``Thread``, ``x.rename``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            yield node.lineno, f"{owner}.{node.attr}"
        elif isinstance(node, ast.Name):
            yield node.lineno, node.id


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_a_module_leans_only_on_what_stands_below_it(path: Path) -> None:
    own = part(name_of(path))
    assert own is not None, "a new part of the house: give it its place in PARTS"
    wrong = [
        f"line {line}: {own} imports {name}"
        for line, name in imports(path)
        if (other := part(name)) is not None and other != own and other not in PARTS[own]
    ]
    assert not wrong


def test_parts_lean_on_each_other_in_no_circle() -> None:
    standing: set[str] = set()
    while ready := {name for name, below in PARTS.items() if name not in standing and below <= standing}:
        standing |= ready
    assert standing == set(PARTS)


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_imports_are_absolute(path: Path) -> None:
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    assert not [node.lineno for node in tree if isinstance(node, ast.ImportFrom) and node.level]


def _lines(paths: list[Path], forbidden: set[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in paths
        for line, name in used_names(path)
        if name in forbidden or f".{name.rpartition('.')[2]}" in forbidden
    ]


def test_only_stages_makes_threads() -> None:
    makers = {".Thread", ".Timer", ".ThreadPoolExecutor", ".ProcessPoolExecutor", ".Process", ".start_new_thread"}
    pipeline = [path for path in MODULES if name_of(path).startswith("pipeline")]
    stages = ROOT / "pipeline" / "stages.py"
    assert _lines([stages], makers)
    assert not _lines([path for path in pipeline if path != stages], makers)


def test_only_publish_makes_final_names() -> None:
    makers = {"os.replace", "os.rename", "os.link", "os.symlink", "shutil.move", "shutil.copy", "shutil.copyfile"}
    makers |= {".rename", ".hardlink_to", ".symlink_to", "shutil.copy2", "shutil.copytree"}
    pipeline = [path for path in MODULES if name_of(path).startswith("pipeline")]
    publish = ROOT / "pipeline" / "media" / "publish.py"
    assert _lines([publish], makers)
    assert not _lines([path for path in pipeline if path != publish], makers)


def test_modules_are_at_most_400_lines() -> None:
    assert not [str(path) for path in MODULES if len(path.read_text(encoding="utf-8").splitlines()) > 400]
