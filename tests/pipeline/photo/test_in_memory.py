"""A photograph in memory comes back in colour as the kind of object it was given as; files are not needed."""

from __future__ import annotations

from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.color.colorizer import Colorizer
from pipeline.errors import InputError, UsageError
from pipeline.options import Options, TreatAs
from pipeline.photo.in_memory import colorize_picture
from pipeline.photo.job import colorize_photo
from pipeline.progress import Silent
from pipeline.results import Note
from tests.photos import grey_profile, jpeg_bytes, rgb_of, save, save_with_metadata, scene, sepia, tinted


@pytest.mark.parametrize("bits", [8, 16])
def test_a_grey_array_comes_back_as_rgb_with_its_luma(bits: int, colorizer: Colorizer) -> None:
    grey = scene(bits=bits)
    made = colorize_picture(grey, colorizer=colorizer)
    assert (made.shape, made.dtype) == ((*grey.shape, 3), grey.dtype)
    assert np.abs(made.astype(float) @ [0.299, 0.587, 0.114] - grey).max() <= 0.51
    assert np.ptp(made.astype(int), axis=2).max() > 5


@pytest.mark.slow
def test_an_array_has_the_colours_of_the_file(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.png", sepia(scene()))
    result = colorize_photo(source, tmp_path / "b.png", colorizer=colorizer)
    assert np.array_equal(colorize_picture(sepia(scene()), colorizer=colorizer), np.asarray(Image.open(result.output)))


def test_alpha_is_kept(colorizer: Colorizer) -> None:
    made = colorize_picture(np.dstack((scene(), scene()[::-1])), colorizer=colorizer)
    assert np.array_equal(made[..., 3], scene()[::-1])


def test_a_picture_in_colour_comes_back_as_it_is(colorizer: Colorizer) -> None:
    own = rgb_of(scene(), *tinted(scene()))
    assert np.array_equal(colorize_picture(own, colorizer=colorizer), own)
    data = jpeg_bytes(own)
    assert colorize_picture(data, colorizer=colorizer) == data


def test_a_pillow_image_comes_back_as_one_with_a_profile_for_colour(colorizer: Colorizer) -> None:
    image = Image.fromarray(scene())
    image.info["icc_profile"] = grey_profile()
    made = colorize_picture(image, colorizer=colorizer)
    assert made.mode == "RGB"
    assert made.info["icc_profile"][16:20] == b"RGB "
    assert np.abs(np.asarray(made, float) @ [0.299, 0.587, 0.114] - scene()).max() <= 0.51


@pytest.mark.few(2)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_an_encoded_file_comes_back_as_the_file_would(suffix: str, tmp_path: Path, colorizer: Colorizer) -> None:
    source = save_with_metadata(tmp_path / f"a{suffix}", scene())
    result = colorize_photo(source, tmp_path / f"b{suffix}", colorizer=colorizer)
    assert colorize_picture(source.read_bytes(), colorizer=colorizer) == result.output.read_bytes()


def test_a_file_object_comes_back_as_one(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.png", scene())
    with source.open("rb") as file:
        made = colorize_picture(file, colorizer=colorizer)
    assert made.read() == colorize_picture(source.read_bytes(), colorizer=colorizer)
    Image.open(BytesIO(made.getvalue())).load()


def test_an_encoded_bmp_comes_back_as_png(colorizer: Colorizer) -> None:
    file = BytesIO()
    Image.fromarray(scene()).save(file, "BMP")
    assert colorize_picture(file.getvalue(), colorizer=colorizer).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 5), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)],
)
def test_an_array_of_another_kind_is_an_error_of_use(picture: np.ndarray, colorizer: Colorizer) -> None:
    with pytest.raises(UsageError, match="array of"):
        colorize_picture(picture, colorizer=colorizer)


@pytest.mark.parametrize("picture", ["scan.jpg", Path("scan.jpg"), StringIO("text"), None])
def test_a_name_or_a_file_of_text_is_an_error_of_use(picture: object, colorizer: Colorizer) -> None:
    with pytest.raises(UsageError, match="picture in memory: is a") as caught:
        colorize_picture(picture, colorizer=colorizer)  # type: ignore[call-overload]
    assert "colorize_photo" in caught.value.advice


@pytest.mark.parametrize("source", [scene(), Image.fromarray(scene()), b"scan", BytesIO()])
def test_what_is_in_memory_is_no_path_and_the_error_names_what_takes_it(source: object, colorizer: Colorizer) -> None:
    with pytest.raises(UsageError, match="source: is a") as caught:
        colorize_photo(source, None, colorizer=colorizer)  # type: ignore[arg-type]
    assert "colorize_picture" in caught.value.advice


def test_a_pillow_image_of_16_bits_is_refused_with_what_is_taken(colorizer: Colorizer) -> None:
    with pytest.raises(UsageError, match="mode I;16, not L, LA, RGB, RGBA") as caught:
        colorize_picture(Image.fromarray(scene().astype(np.uint16) * 257), colorizer=colorizer)
    assert "array of uint16" in caught.value.advice
    assert colorize_picture(scene().astype(np.uint16) * 257, colorizer=colorizer).dtype == np.uint16


def test_notes_are_told(tmp_path: Path, colorizer: Colorizer) -> None:
    class Notes(Silent):
        def __init__(self) -> None:
            self.heard: list[tuple[str, Note]] = []

        def note(self, item: str, note: Note) -> None:
            self.heard.append((item, note))

    options, notes = Options(treat_as=TreatAs.MONOCHROME), Notes()
    data = save(tmp_path / "a.bmp", scene()).read_bytes()
    result = colorize_photo(tmp_path / "a.bmp", tmp_path / "a.png", options, colorizer=colorizer)
    colorize_picture(data, options, colorizer=colorizer, progress=notes)
    assert notes.heard == [("picture in memory", note) for note in result.notes]
    assert notes.heard
    notes.heard.clear()
    colorize_picture(rgb_of(scene(), *tinted(scene())), colorizer=colorizer, progress=notes)
    assert notes.heard


@pytest.mark.parametrize("picture", [b"dear diary", "scan.jpg", np.zeros(4, np.uint8), Image.new("CMYK", (4, 4))])
def test_what_is_no_picture_is_refused_before_an_engine_starts(picture: Any) -> None:
    with pytest.raises((InputError, UsageError), match="picture in memory"):
        colorize_picture(picture, Options(engine="tensorrt", model="none"))


def test_errors_of_an_encoded_file_name_no_temporary_file(tmp_path: Path, colorizer: Colorizer) -> None:
    data = save(tmp_path / "a.jpg", scene()).read_bytes()
    with pytest.raises(InputError, match=r"^picture in memory: cannot be decoded: it breaks off"):
        colorize_picture(data[:-100], colorizer=colorizer)
    with pytest.raises(UsageError, match="CMYK"):
        colorize_picture(Image.new("CMYK", (8, 8)), colorizer=colorizer)
