"""Windows, as far as it can be tried elsewhere: without POSIX's modules, and with Windows' rules for words."""

from __future__ import annotations

import errno
import sqlite3
import sys
import textwrap
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path, PureWindowsPath
from types import ModuleType

import pytest

from engines.errors import WeightsError
from engines.library import add_model, load_weights
from pipeline.archive.ledger.file import as_uri as ledger_uri
from pipeline.archive.plan import below
from pipeline.archive.report.page import as_uri as page_uri
from pipeline.archive.walk import compiled
from pipeline.errors import OutputError, UsageError
from pipeline.originals import Originals
from pipeline.os_errors import advice_for, says_no_file
from pipeline.publish import publishing
from pipeline.results import shell_line
from tests.commands import python
from tests.engines.tiny import write_tiny_model
from tests.films import Sound, make_film
from tests.photos import save, scene

# The libraries we use are loaded first, as what they are here; ours are loaded as on Windows.
AS_ON_WINDOWS = """
    import contextlib, ctypes, fcntl, importlib, os, pkgutil, signal, sys, types
    import av, cattrs, cv2, filelock, imagecodecs, jinja2, numpy, platformdirs, prometheus_client, rich.console
    import onnxruntime, rich.progress, starlette.applications, tifffile, typer, typer.core, typer.main, uvicorn
    import ctypes.wintypes, multiprocessing, PIL.Image, PIL.ImageCms, shutil, sqlite3, subprocess, tempfile

    for name in [name for name in sys.modules if name.partition(".")[0] in ("cli", "engines", "pipeline")]:
        del sys.modules[name]

    flock, lseek, open_file = fcntl.flock, ctypes.CDLL(None).lseek, os.open
    for name in ("fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"):
        sys.modules[name] = None
    for home, names in (
        (os, ("fork", "getuid", "geteuid", "killpg", "sched_getaffinity", "setsid", "uname", "mkfifo")),
        (signal, ("SIGHUP", "SIGKILL", "SIGALRM", "SIGUSR1", "setitimer", "pthread_sigmask")),
    ):
        for name in names:
            delattr(home, name)


    class Kernel:
        def GetDriveTypeW(self, drive):
            return 3

        def LockFileEx(self, handle, how, *rest):
            try:
                flock(handle.value, (2 if how & 2 else 1) | (4 if how & 1 else 0))
            except BlockingIOError:
                return 0
            return 1

        def UnlockFileEx(self, handle, *rest):
            flock(handle.value, 8)
            return 1


    def open_no_folder(path, flags, *mode, **options):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, flags, *mode, **options)


    os.open = open_no_folder
    ctypes.windll = types.SimpleNamespace(kernel32=Kernel())
    ctypes.WinDLL = lambda name, **options: Kernel()
    ctypes.get_last_error = lambda: 33
    ctypes.cdll.ucrtbase = types.SimpleNamespace(_lseeki64=lseek)
    for name in ("msvcrt", "winreg"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["msvcrt"].get_osfhandle = int
    sys.platform = "win32"
"""


def as_on_windows(code: str, *words: object) -> list[str]:
    """Run ``code`` where POSIX's modules, functions and signals are not, and return the words that it prints."""
    done = python(textwrap.dedent(AS_ON_WINDOWS) + textwrap.dedent(code), *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_every_module_can_be_imported_where_posix_is_not() -> None:
    code = """
        import cli, engines, pipeline
        names = [
            one.name
            for package in (engines, pipeline)
            for one in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
            if not one.name.startswith(("engines.half", "engines.cuda"))
        ]
        for name in names:
            importlib.import_module(name)
        from engines.machine import gpu_count, usable_cores
        from pipeline.interruption import StopRequest, end_on_signals, finish_on_signals
        end_on_signals()
        finish_on_signals(StopRequest(), print)
        print(len(names), usable_cores() > 0)
    """
    count, cores = as_on_windows(code)
    assert int(count) > 150
    assert cores == "True"


@pytest.mark.slow
def test_an_archive_is_coloured_where_posix_is_not(tmp_path: Path) -> None:
    """What Windows' kernel is asked for is answered by Linux's; everything else runs as there."""
    (source := tmp_path / "scans").mkdir()
    save(source / "a.jpg", scene())
    make_film(source / "b.mp4", codec="libx264", times=range(6), sounds=[Sound()])
    code = """
        from pathlib import Path
        from pipeline import LockedError, Options, colorize_archive
        from pipeline.archive.output_folder import LOCK, home
        from pipeline.file_locks import EXCLUSIVE, NO_WAIT, lock_file

        source, options = Path(sys.argv[1]), Options(engine="onnxruntime", model=sys.argv[2])
        for _ in range(2):
            result = colorize_archive(source, options=options)
            print(result.photos, result.films, result.skipped, result.failed)
        with (home(result.output, None) / LOCK).open("ab") as held:
            lock_file(held, EXCLUSIVE | NO_WAIT)
            try:
                colorize_archive(source, options=options)
            except LockedError:
                print("locked")
    """
    assert as_on_windows(code, source, write_tiny_model(tmp_path)) == ["1", "1", "0", "0", "0", "0", "2", "0", "locked"]
    assert (tmp_path / "scans-colorized" / "report.html").is_file()


def test_patterns_may_be_written_with_the_slashes_of_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = r"people\**\1920*"
    assert compiled(pattern).fullmatch("people/smith/1920 picnic.jpg") is None
    monkeypatch.setattr(sys, "platform", "win32")
    assert compiled(pattern).fullmatch("people/smith/1920 picnic.jpg")
    assert compiled(r"\1931.jpg").fullmatch("1931.jpg")
    assert compiled(r"\1931.jpg").fullmatch("album/1931.jpg") is None
    assert compiled("people/*.jpg").fullmatch("people/a.jpg")


@pytest.mark.parametrize("pattern", [r"D:\scans\*.tif", "D:*.tif", r"\\nas\scans\*.tif", r"\\?\D:\scans\*.tif"])
def test_patterns_that_begin_elsewhere_than_in_the_source_folder_are_refused(
    pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(UsageError, match="below the source folder"):
        compiled(pattern)


def test_sources_below_a_verbatim_path_are_reached_with_the_separator_of_the_place() -> None:
    """Windows takes a slash for a part of a name there."""
    assert below("\\\\?\\D:\\scans\\", "people/a.jpg", separator="\\") == r"\\?\D:\scans\people\a.jpg"
    assert below("/scans/", "people/a.jpg") == "/scans/people/a.jpg"


@pytest.mark.parametrize("name", ["con", "NUL.fast", "Com1", "lpt9 .x", "fast.", "fast ", "a:b", r"a\b"])
def test_networks_get_no_name_that_windows_cannot_hold(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="cannot be the name"):
        add_model(write_tiny_model(tmp_path), name=name)


def test_a_network_may_be_on_a_drive_or_a_share(tmp_path: Path) -> None:
    """What looks like a path there is never looked up as a name."""
    for path in (r"D:\networks\mine.onnx", r"\\nas\share\mine.onnx", "mine.ONNX", r".\mine"):
        with pytest.raises(WeightsError, match="no such weights file"):
            load_weights(path)


class Registry(ModuleType):
    """Windows' registry, with one value of it, or without."""

    HKEY_LOCAL_MACHINE = 0

    def __init__(self, long_paths: int | None) -> None:
        super().__init__("winreg")
        self._long_paths = long_paths

    def OpenKey(self, root: int, path: str) -> AbstractContextManager[str]:  # noqa: N802 - Windows' name
        assert root == self.HKEY_LOCAL_MACHINE
        return nullcontext(path)

    def QueryValueEx(self, key: str, name: str) -> tuple[int, int]:  # noqa: N802 - Windows' name
        assert (key, name) == (r"SYSTEM\CurrentControlSet\Control\FileSystem", "LongPathsEnabled")
        if self._long_paths is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return self._long_paths, 4


def windows(monkeypatch: pytest.MonkeyPatch, *, long_paths: int | None) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "winreg", Registry(long_paths))


class PathTooLongError(FileNotFoundError):
    """As ``os.mkdir`` raises it there for a folder of more than 247 characters."""

    winerror = 206


@pytest.mark.parametrize(
    ("length", "long_paths", "kind", "is_gone"),
    [
        (259, 0, FileNotFoundError, True),
        (260, 0, FileNotFoundError, False),
        (260, None, FileNotFoundError, False),
        (260, 1, FileNotFoundError, True),
        (248, 0, PathTooLongError, False),
    ],
)
def test_a_long_path_is_gone_where_windows_would_have_taken_it(
    length: int, long_paths: int | None, kind: type[OSError], is_gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows(monkeypatch, long_paths=long_paths)
    path = "/" + "a" * (length - 1)
    error = kind(errno.ENOENT, "No such file or directory", path)
    assert says_no_file(error) is is_gone
    assert (f"It has {length:,} characters" in advice_for(error)) is not is_gone


@pytest.mark.parametrize(
    ("platform", "path", "is_beyond"),
    [
        ("win32", PureWindowsPath("C:/scans", "a" * 100, "b" * 160, "c.jpg"), True),
        ("win32", PureWindowsPath("//nas/scans", "a" * 100, "b" * 160, "c.jpg"), True),
        ("win32", PureWindowsPath("//?/C:/scans", "a" * 100, "b" * 160, "c.jpg"), False),
        ("win32", PureWindowsPath("/scans", "c.jpg"), False),
        ("linux", PureWindowsPath("C:/scans", "a" * 100, "b" * 160, "c.jpg"), False),
    ],
)
def test_a_path_that_windows_finds_too_long_is_not_taken_for_missing(
    platform: str, path: PureWindowsPath, is_beyond: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows says "no such file" of it, and would say "the file is there" if it were set to."""
    windows(monkeypatch, long_paths=0)
    monkeypatch.setattr(sys, "platform", platform)
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
    assert ("LongPathsEnabled" in advice_for(error)) is is_beyond
    assert says_no_file(error) is not is_beyond


def test_a_result_whose_temporary_name_is_too_long_for_windows_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("f" * (232 - len(str(tmp_path))))
    final = folder / "scan.jpg"
    assert len(str(folder / "scan.jpg.autochrome.json")) < 259
    with (
        pytest.raises(OutputError, match=r"scan\.jpg: cannot be written") as caught,
        publishing(final, overwrite=False, originals=Originals()) as temporary,
    ):
        windows(monkeypatch, long_paths=0)
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(temporary))
    assert f"It has {len(str(temporary))} characters" in caught.value.advice


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux", "colorize-photo 'my scan.jpg' -o '$HOME'"),
        ("win32", 'colorize-photo "my scan.jpg" -o $HOME'),
    ],
)
def test_commands_to_copy_are_quoted_for_the_shell_that_is_there(
    platform: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert shell_line(["colorize-photo", "my scan.jpg", "-o", "$HOME"]) == expected


WINDOWS = [
    (r"D:\my scans\1%.db", "file:///D:/my%20scans/1%25.db"),
    (r"\\nas\share\a#b\1?.db", "file://nas/share/a%23b/1%3F.db"),
    (r"\\?\D:\scans\1.db", "file:///D:/scans/1.db"),
    (r"\\?\UNC\nas\share\1.db", "file://nas/share/1.db"),
]


@pytest.mark.parametrize("path", [path for path, _ in WINDOWS])
def test_sqlite_opens_a_ledger_on_a_drive_and_on_a_share(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is SQLite that reads the URI: what it takes for the path is, here, the name of one file."""
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect(f"{ledger_uri(PureWindowsPath(path))}?mode=rwc", uri=True)) as connection:
        connection.execute("CREATE TABLE items (path)")
    assert [found.name for found in tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(("path", "uri"), WINDOWS)
def test_a_report_leads_to_a_drive_and_to_a_share(path: str, uri: str) -> None:
    assert page_uri(PureWindowsPath(path)) == uri
