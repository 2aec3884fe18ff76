"""Colour that was made is declared in the file, and no other."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.color.colorizer import Colorizer
from pipeline.film.job import colorize_video
from pipeline.media.tag_text import replace_tag_text
from pipeline.options import Options, TreatAs
from pipeline.results import Treatment
from tests.photos import scene
from tests.sampled import sampled

FRAMES = 12


def in_colour(path: Path, *, comment: str | None = None, grey_from: int = FRAMES) -> Path:
    """Write a film of strong colours; from frame ``grey_from`` on it is another scene, without any."""
    grey = scene(width=176, height=128).astype(np.float32)
    with av.open(str(path), "w") as film:
        if comment is not None:
            film.metadata["comment"] = comment
        video = film.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 176, 128, "yuv444p"
        for number in range(FRAMES):
            factors = (1.0, 0.5, 0.2) if number < grey_from else (1.0, 1.0, 1.0)
            luma = grey if number < grey_from else 255 - grey[::-1]
            rgb = np.stack([luma * factor for factor in factors], axis=-1).astype(np.uint8)
            rgb[:40] = rgb[:40, :, ::-1]
            film.mux(video.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        film.mux(video.encode(None))
    return path


def tags(film: Path) -> dict[str, str]:
    with av.open(str(film)) as made:
        assert len(list(made.decode(video=0))) == FRAMES
        return {key.lower(): value.strip() for key, value in made.metadata.items()}


@pytest.mark.few(1)
@pytest.mark.parametrize("comment", sampled([None, "Reel 3"], None))
@pytest.mark.parametrize("suffix", sampled([".mkv", ".mp4", ".mov"], ".mkv", ".mp4"))
@pytest.mark.parametrize("in_segments", [False, True])
def test_a_film_that_kept_its_colours_declares_none(
    tmp_path: Path, colorizer: Colorizer, suffix: str, comment: str | None, in_segments: bool
) -> None:
    source = in_colour(tmp_path / "film.mkv", comment=comment)
    segments = {"segment_frames": 4} if in_segments else {}
    result = colorize_video(source, tmp_path / f"made{suffix}", Options(), colorizer=colorizer, **segments)
    assert {shot.treatment for shot in result.shots} == {Treatment.KEPT}
    found = tags(result.output)
    assert not any("artificial" in text for text in found.values())
    assert any("own colours" in text for text in found.values())
    assert found.get("comment") == (comment or "The source's own colours, kept: Autochrome")
    # It is no result of ours that would be kept whatever it looks like.
    again = colorize_video(
        result.output, tmp_path / "again.mkv", Options(treat_as=TreatAs.MONOCHROME), colorizer=colorizer
    )
    assert "artificial" in " ".join(tags(again.output).values())


@pytest.mark.slow
def test_one_shot_that_is_coloured_is_declared(tmp_path: Path, colorizer: Colorizer) -> None:
    source = in_colour(tmp_path / "film.mkv", grey_from=FRAMES // 2)
    result = colorize_video(source, tmp_path / "made.mp4", Options(), colorizer=colorizer)
    assert {shot.treatment for shot in result.shots} == {Treatment.KEPT, Treatment.COLOURED}
    assert "artificial intelligence" in tags(result.output)["comment"]


def test_a_tag_is_replaced_by_what_fits_and_is_there(tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    film.write_bytes(b"head: long text, frames")
    replace_tag_text(film, "long text", "text")
    assert film.read_bytes() == b"head: text     , frames"
    for old, new in (("gone", "new"), ("text", "longer than that")):
        with pytest.raises(ValueError, match=old):
            replace_tag_text(film, old, new)
