"""Films whose tone is in doubt say so, with the command that decides otherwise."""

from __future__ import annotations

import shlex
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.archive.ledger import read_ledger
from pipeline.archive.run import colorize_archive
from pipeline.color.colorizer import Colorizer
from pipeline.documents import result_from_json
from pipeline.film.job import colorize_video
from pipeline.options import Options, TreatAs
from pipeline.results import FilmResult, SourceTone, Treatment
from tests.films import make_film
from tests.photos import scene
from tests.test_cli import colorize

FRAMES = 12


def with_a_stamp(path: Path) -> Path:
    """Write a grey film with something purple on a twentieth of every frame."""
    rgb = np.repeat(scene(width=176, height=128)[..., None], 3, axis=2)
    rgb[90:115, 125:165] = (150, 40, 130)
    with av.open(str(path), "w") as film:
        video = film.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 176, 128, "yuv444p"
        for _ in range(FRAMES):
            film.mux(video.encode(av.VideoFrame.from_ndarray(rgb.astype(np.uint8), format="rgb24")))
        film.mux(video.encode(None))
    return path


def test_a_film_that_may_have_had_colour_is_in_doubt(tmp_path: Path, colorizer: Colorizer) -> None:
    source = with_a_stamp(tmp_path / "it's.mkv")
    result = colorize_video(source, tmp_path / "out.mkv", Options(), colorizer=colorizer)
    assert {shot.treatment for shot in result.shots} == {Treatment.COLOURED}
    (doubt,) = result.doubts
    assert doubt.instead is SourceTone.COLOUR
    assert f"{FRAMES} of {FRAMES} frames, from 0:00" in doubt.reason
    assert any("--treat-as colour" in note.text for note in result.notes)

    program, *arguments = shlex.split(doubt.command)
    assert program == "colorize-video"
    assert arguments == [str(source), "-o", str(result.output), "--overwrite", "--treat-as", "colour"]
    decided = colorize_video(
        source, result.output, Options(treat_as=TreatAs.COLOUR, overwrite=True), colorizer=colorizer
    )
    assert {shot.treatment for shot in decided.shots} == {Treatment.KEPT}
    assert decided.doubts == ()


@pytest.mark.slow
def test_a_grey_film_is_not_in_doubt(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "grey.mkv")
    assert colorize_video(film, tmp_path / "out.mkv", Options(), colorizer=colorizer).doubts == ()


@pytest.mark.slow
def test_an_archive_keeps_the_doubt_of_a_film_and_one_command_decides_otherwise(tmp_path: Path, tiny: Path) -> None:
    source, output = tmp_path / "films", tmp_path / "out"
    source.mkdir()
    with_a_stamp(source / "a film.mkv")
    assert colorize_archive(source, output, Options(engine="onnxruntime", model=str(tiny))).exit_code == 0
    doubt = kept(output).doubts[0]
    assert doubt.reason in (output / "report.html").read_text(encoding="utf-8")

    program, *arguments = shlex.split(doubt.command)
    assert program == "colorize-archive"
    told = colorize("archive", *arguments, "--engine", "onnxruntime", "--model", tiny)
    assert told.returncode == 0, told.stderr
    assert {shot.treatment for shot in kept(output).shots} == {Treatment.KEPT}
    assert kept(output).doubts == ()


def kept(output: Path) -> FilmResult:
    ledger = read_ledger(output)
    assert ledger is not None
    with ledger:
        record = ledger.get("a film.mkv")
    assert record is not None
    assert record.result is not None
    result = result_from_json(record.result)
    assert isinstance(result, FilmResult)
    return result
