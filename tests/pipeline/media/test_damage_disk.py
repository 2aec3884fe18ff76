"""A disk that is full or is not writable: a clean error, nothing under the final name, nothing left behind."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import python
from tests.films import Sound, make_film

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs limits and permissions as Unix has them")


def colour(film: Path, output: Path, tiny: Path, *, before: str, options: str = "") -> str:
    """Colour ``film`` in a process of its own, after the statement ``before``; return what it ends with."""
    script = f"""
        import os, resource
        from pathlib import Path
        from pipeline.color.colorizer import open_colorizer
        from pipeline.errors import AutochromeError
        from pipeline.options import Codec, Options, Quality
        from pipeline.film.job import colorize_video

        options = Options(engine="onnxruntime", model={str(tiny)!r}, {options})
        with open_colorizer(options) as colorizer:
            {before}
            try:
                colorize_video(Path({str(film)!r}), Path({str(output)!r}), options, colorizer=colorizer)
            except AutochromeError as error:
                print(error.exit_code, type(error).__name__, error, "|", error.advice)
    """
    run = python(textwrap.dedent(script))
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


_MKV, _MP4 = ("mkv", "quality=Quality.MASTER"), ("mp4", "codec=Codec.H264")


# What fails: the first write, one in the middle, and the last ones, when the index of an mp4 is moved to the front.
@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("container", "limit"),
    [
        (_MKV, 500),
        (_MKV, 60_000),
        pytest.param(_MKV, 120_000, marks=pytest.mark.nightly),
        pytest.param(_MP4, 500, marks=pytest.mark.slow),
        pytest.param(_MP4, 60_000, marks=pytest.mark.nightly),
        (_MP4, 120_000),
    ],
)
def test_a_full_disk_leaves_nothing_and_says_so(
    tmp_path: Path, tiny: Path, container: tuple[str, str], limit: int
) -> None:
    suffix, options = container
    film = make_film(
        tmp_path / f"film.{suffix}",
        codec="libx264",
        times=range(16),
        width=192,
        height=128,
        grain=0.2,
        options={"crf": "14"},
        sounds=[Sound()],
    )
    output = tmp_path / f"result.{suffix}"
    limited = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    said = colour(film, output, tiny, before=limited, options=options)
    assert said.startswith("5 OutputError")
    assert f"result.{suffix}: cannot be written: File too large" in said
    assert "free space" in said
    assert list(tmp_path.iterdir()) == [film]


@pytest.fixture
def readonly() -> Iterator[Path]:
    """Give a folder that others may read and nobody may write to."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_a_folder_that_may_not_be_written_to_is_a_clean_error(readonly: Path, tiny: Path) -> None:
    film = make_film(readonly / "film.mkv")
    readonly.chmod(0o555)
    # The superuser may write everywhere.
    humbled = "os.seteuid(65534) if os.geteuid() == 0 else None"
    said = colour(film, readonly / "result.mkv", tiny, before=humbled)
    assert said.startswith("5 OutputError")
    assert "result.mkv: cannot be written: Permission denied" in said
    assert list(readonly.iterdir()) == [film]


def test_a_result_that_may_not_be_replaced_stays(tmp_path: Path, tiny: Path) -> None:
    film = make_film(tmp_path / "film.mkv")
    taken = tmp_path / "results" / "film.colorized.mkv"
    taken.mkdir(parents=True)
    said = colour(film, taken.parent, tiny, before="pass", options="overwrite=True")
    assert said.startswith("5 OutputError")
    assert taken.is_dir()
    assert os.listdir(taken.parent) == [taken.name]  # noqa: PTH208


def test_a_target_below_a_file_is_a_clean_error(tmp_path: Path, tiny: Path) -> None:
    film = make_film(tmp_path / "film.mkv")
    said = colour(film, film / "below" / "result.mkv", tiny, before="pass")
    assert said.startswith("5 OutputError")
    assert "result.mkv" in said
