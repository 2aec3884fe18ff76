"""What a person says about a photograph is what comes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import Image

from pipeline.color.colorizer import Colorizer
from pipeline.color.hints import ab_of_hex
from pipeline.color.spaces import ab_of_rgb, chroma_from_ab, gamut_scale, still_spec
from pipeline.corrections import Correction, CorrectionFile, corrections_beside
from pipeline.errors import InputError, UsageError
from pipeline.film.job import colorize_video
from pipeline.options import Hint, Options, TreatAs, Unit
from pipeline.originals import NO_ORIGINALS
from pipeline.photo.job import PhotoJob, colorize_photos
from pipeline.photo.one import colorize_photo
from pipeline.results import Failure, PhotoResult, Treatment
from tests.films import make_film
from tests.photos import exif, rgb_of, save, scene, tinted


def ab_of(path: Path) -> np.ndarray:
    return ab_of_rgb(np.asarray(Image.open(path).convert("RGB"), np.float32) / np.float32(255))


def colour_at(path: Path, x: float, y: float) -> np.ndarray:
    """Return the mean (a, b) of the 9 x 9 pixels around a place: the scene has grain."""
    ab = ab_of(path)
    row, column = int(y * ab.shape[1]), int(x * ab.shape[2])
    return ab[:, row - 4 : row + 5, column - 4 : column + 5].mean(axis=(1, 2))


def luma_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("YCbCr"))[..., 0]


def test_a_hint_s_colour_comes_out_at_its_place(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "scan.png", scene())
    hint = Hint(x=0.4, y=0.6, color="#7A6A9A", reach=0.15)
    colorize_photo(source, tmp_path / "plain.png", colorizer=colorizer)
    colorize_photo(source, tmp_path / "hinted.png", Options(hints=(hint,)), colorizer=colorizer)
    wanted = np.array(ab_of_hex(hint.color))
    before, after = (np.hypot(*(colour_at(tmp_path / name, 0.4, 0.6) - wanted)) for name in ("plain.png", "hinted.png"))
    # The tiny network's colours jump from place to place by 80 and more, and edges of colour are as wide as a filter.
    assert before > 40
    assert after < before / 6
    assert np.abs(luma_of(tmp_path / "plain.png").astype(int) - luma_of(tmp_path / "hinted.png")).max() <= 1


@pytest.mark.parametrize("kind", ["sequential", "progressive", "of R, G and B", "with a fine table"])
def test_a_jpeg_stores_the_stated_colour_finely_and_the_rest_as_before(
    kind: str, tmp_path: Path, colorizer: Colorizer
) -> None:
    noise = np.random.default_rng(1).normal(0, 20, (301, 403))
    grainy = np.clip(scene(width=403, height=301) + noise, 40, 215).astype(np.uint8)
    pixels = np.repeat(grainy[..., None], 3, axis=2) if kind == "of R, G and B" else grainy
    how = {"keep_rgb": kind == "of R, G and B", "quality": 99 if kind == "with a fine table" else 85}
    source = save(tmp_path / "scan.jpg", pixels, progressive=kind == "progressive", **how)
    hint = Hint(x=0.3, y=0.6, color="#B05070", reach=0.1)
    plain, hinted = tmp_path / "plain.jpg", tmp_path / "hinted.jpg"
    neutral = Options(treat_as=TreatAs.MONOCHROME, saturation=0)
    colorize_photo(source, plain, neutral, colorizer=colorizer)
    colorize_photo(source, hinted, replace(neutral, hints=(hint,)), colorizer=colorizer)
    luma, *chroma = np.moveaxis(np.asarray(Image.open(hinted).convert("YCbCr"), np.float32), -1, 0)
    spec, light = still_spec(8), np.asarray(luma / 255, np.float32)
    wanted = chroma_from_ab(light, np.full((2, *luma.shape), 1, np.float32) * _ab_planes(hint), spec.matrix)
    wanted *= gamut_scale(light, wanted[0], wanted[1], spec.matrix)
    down, across = np.mgrid[: luma.shape[0], : luma.shape[1]] + 0.5
    is_near = np.hypot(down - 0.6 * luma.shape[0], across - 0.3 * luma.shape[1]) <= 0.1 * min(luma.shape)
    missed = np.stack(chroma) - np.stack([spec.chroma_codes(plane) for plane in wanted])
    assert np.sqrt(np.square(missed[:, is_near]).mean()) < 1
    assert hinted.stat().st_size < 1.5 * plain.stat().st_size


def _ab_planes(hint: Hint) -> np.ndarray:
    return np.array(ab_of_hex(hint.color), np.float32)[:, None, None]


def test_places_are_those_of_the_upright_picture(tmp_path: Path, colorizer: Colorizer) -> None:
    turned = save(tmp_path / "turned.jpg", scene(), exif=exif(orientation=6), quality=95)
    hint = Hint(x=0.1, y=0.5, color="#8060B0", reach=0.08)
    colorize_photo(turned, tmp_path / "out.jpg", Options(hints=(hint,), saturation=0), colorizer=colorizer)
    ab = ab_of(tmp_path / "out.jpg")
    # Orientation 6: what is stored is turned by 90 degrees clockwise to be seen; the left edge is stored at the bottom.
    stored_row, stored_column = int(0.9 * ab.shape[1]), int(0.5 * ab.shape[2])
    assert np.hypot(*(ab[:, stored_row, stored_column] - ab_of_hex(hint.color))) < 5
    assert np.hypot(*ab[:, int(0.1 * ab.shape[1]), stored_column]) < 5


def test_a_place_may_be_a_pixel_of_the_upright_picture(tmp_path: Path, colorizer: Colorizer) -> None:
    turned = save(tmp_path / "turned.jpg", scene(width=160, height=120), exif=exif(orientation=6), quality=95)
    share = Hint(x=(12 + 0.5) / 120, y=(80 + 0.5) / 160, color="#8060B0", reach=0.08)
    pixel = Hint(x=12, y=80, color="#8060B0", reach=0.08, unit=Unit.PIXEL)
    for name, hint in (("share.jpg", share), ("pixel.jpg", pixel)):
        colorize_photo(turned, tmp_path / name, Options(hints=(hint,)), colorizer=colorizer)
    assert (tmp_path / "pixel.jpg").read_bytes() == (tmp_path / "share.jpg").read_bytes()
    outside = replace(pixel, x=120)
    with pytest.raises(InputError, match=r"turned\.jpg: a hint at pixel 120, 80 lies outside its 120 x 160"):
        colorize_photo(turned, tmp_path / "out.jpg", Options(hints=(outside,)), colorizer=colorizer)
    with pytest.raises(ValueError, match="counted from 0"):
        replace(pixel, y=-1)


def test_a_place_in_a_film_may_be_a_pixel(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(4), rotation=90)
    share = Hint(x=(12 + 0.5) / 64, y=(80 + 0.5) / 96, color="#8060B0", reach=0.08, time=0)
    pixel = Hint(x=12, y=80, color="#8060B0", reach=0.08, time=0, unit=Unit.PIXEL)
    for name, hint in (("share.mp4", share), ("pixel.mp4", pixel)):
        colorize_video(film, tmp_path / name, Options(hints=(hint,)), colorizer=colorizer)
    assert (tmp_path / "pixel.mp4").read_bytes() == (tmp_path / "share.mp4").read_bytes()
    with pytest.raises(InputError, match=r"film\.mp4: a hint at pixel 70, 80 lies outside its 64 x 96"):
        colorize_video(film, tmp_path / "out.mp4", Options(hints=(replace(pixel, x=70),)), colorizer=colorizer)


def test_saturation_nought_is_black_and_white(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "scan.png", scene())
    colorize_photo(source, tmp_path / "out.png", Options(saturation=0), colorizer=colorizer)
    assert np.abs(ab_of(tmp_path / "out.png")).max() < 0.5


def test_a_correction_stands_above_the_options_of_a_run(tmp_path: Path, colorizer: Colorizer) -> None:
    grey = scene()
    source = save(tmp_path / "coloured.png", rgb_of(grey, *tinted(grey)))
    tree = corrections_beside(tmp_path, originals=NO_ORIGINALS)
    path = tree.write(PurePath("coloured.png"), CorrectionFile(correction=Correction(treat_as=TreatAs.MONOCHROME)))
    broken = tmp_path / "broken.json"
    broken.write_text("{", encoding="ascii")
    corrections = {"a.png": tmp_path / "none.json", "b.png": path, "c.png": broken}
    jobs = [PhotoJob(source, tmp_path / name, correction=correction) for name, correction in corrections.items()]
    left, corrected, failed = colorize_photos(jobs, colorizer=colorizer)
    assert isinstance(failed, Failure)
    assert str(broken) in failed.error
    assert isinstance(left, PhotoResult)
    assert isinstance(corrected, PhotoResult)
    assert (left.treatment, corrected.treatment) == (Treatment.KEPT, Treatment.COLOURED)


def test_a_hint_without_a_time_is_refused_for_a_film_and_not_ignored(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(3))
    options = Options(hints=(Hint(x=0, y=0, color="neutral"),))
    with pytest.raises(UsageError, match="needs the time of a frame"):
        colorize_video(film, None, options, colorizer=colorizer)


def test_a_hint_with_a_time_is_refused_for_a_photograph(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.png", scene())
    options = Options(hints=(Hint(x=0, y=0, color="neutral", time=3.0),))
    with pytest.raises(UsageError, match="a photograph has no times"):
        colorize_photo(source, None, options, colorizer=colorizer)


def test_a_film_s_saturation_is_turned_down(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(6))
    vivid = colorize_video(film, tmp_path / "a.mkv", Options(quality="master"), colorizer=colorizer)
    calm = colorize_video(film, tmp_path / "b.mkv", Options(quality="master", saturation=0.5), colorizer=colorizer)
    assert vivid.measures is not None
    assert calm.measures is not None
    assert calm.measures.colourfulness < 0.7 * vivid.measures.colourfulness
