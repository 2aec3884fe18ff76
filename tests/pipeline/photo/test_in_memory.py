"""A photograph in memory comes back in colour as the kind of object it was given as, and that of a path if wanted."""

from __future__ import annotations

import inspect
import re
from io import BytesIO, StringIO
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.color.colorizer import Colorizer
from pipeline.corrections import Correction, CorrectionFile, corrections_beside
from pipeline.errors import InputError, OutputError, UsageError
from pipeline.options import Hint, Options, TreatAs
from pipeline.originals import NO_ORIGINALS
from pipeline.photo.one import colorize_photo
from pipeline.progress import Silent
from pipeline.results import Note
from tests.photos import grey_profile, jpeg_bytes, rgb_of, save, save_with_metadata, scene, sepia, tinted


@pytest.mark.parametrize("bits", [8, 16])
def test_a_grey_array_comes_back_as_rgb_with_its_luma(bits: int, colorizer: Colorizer) -> None:
    grey = scene(bits=bits)
    made = colorize_photo(grey, colorizer=colorizer)
    assert (made.shape, made.dtype) == ((*grey.shape, 3), grey.dtype)
    assert np.abs(made.astype(float) @ [0.299, 0.587, 0.114] - grey).max() <= 0.51
    assert np.ptp(made.astype(int), axis=2).max() > 5


@pytest.mark.slow
def test_an_array_has_the_colours_of_the_file(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.png", sepia(scene()))
    result = colorize_photo(source, tmp_path / "b.png", colorizer=colorizer)
    assert np.array_equal(colorize_photo(sepia(scene()), colorizer=colorizer), np.asarray(Image.open(result.output)))


def test_alpha_is_kept(colorizer: Colorizer) -> None:
    made = colorize_photo(np.dstack((scene(), scene()[::-1])), colorizer=colorizer)
    assert np.array_equal(made[..., 3], scene()[::-1])


def test_a_picture_in_colour_comes_back_as_it_is(colorizer: Colorizer) -> None:
    own = rgb_of(scene(), *tinted(scene()))
    assert np.array_equal(colorize_photo(own, colorizer=colorizer), own)
    data = jpeg_bytes(own)
    assert colorize_photo(data, colorizer=colorizer) == data


def test_a_pillow_image_comes_back_as_one_with_a_profile_for_colour(colorizer: Colorizer) -> None:
    image = Image.fromarray(scene())
    image.info["icc_profile"] = grey_profile()
    made = colorize_photo(image, colorizer=colorizer)
    assert made.mode == "RGB"
    assert made.info["icc_profile"][16:20] == b"RGB "
    assert np.abs(np.asarray(made, float) @ [0.299, 0.587, 0.114] - scene()).max() <= 0.51


@pytest.mark.few(1)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_an_encoded_file_comes_back_as_the_file_would(suffix: str, tmp_path: Path, colorizer: Colorizer) -> None:
    source = save_with_metadata(tmp_path / f"a{suffix}", scene())
    result = colorize_photo(source, tmp_path / f"b{suffix}", colorizer=colorizer)
    assert colorize_photo(source.read_bytes(), colorizer=colorizer) == result.output.read_bytes()


def test_a_file_object_comes_back_as_one(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.png", scene())
    with source.open("rb") as file:
        made = colorize_photo(file, colorizer=colorizer)
    assert made.read() == colorize_photo(source.read_bytes(), colorizer=colorizer)
    Image.open(BytesIO(made.getvalue())).load()


def test_an_encoded_bmp_comes_back_as_png(colorizer: Colorizer) -> None:
    file = BytesIO()
    Image.fromarray(scene()).save(file, "BMP")
    assert colorize_photo(file.getvalue(), colorizer=colorizer).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "picture",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 5), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)],
)
def test_an_array_of_another_kind_is_an_error_of_use(picture: np.ndarray, colorizer: Colorizer) -> None:
    with pytest.raises(UsageError, match="array of"):
        colorize_photo(picture, colorizer=colorizer)


@pytest.mark.parametrize("picture", [StringIO("text"), bytearray(b"scan"), None])
def test_an_object_of_another_kind_is_an_error_of_use(picture: Any, colorizer: Colorizer) -> None:
    with pytest.raises(UsageError, match="picture in memory: is of type") as caught:
        colorize_photo(picture, colorizer=colorizer)
    assert "an array, a Pillow image, bytes" in caught.value.advice


@pytest.mark.few(1)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_without_an_output_a_path_gives_the_content_of_its_result(
    suffix: str, tmp_path: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save_with_metadata(tmp_path / f"a{suffix}", scene())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    made = colorize_photo(source, None, colorizer=colorizer)
    assert list(tmp_path.iterdir()) == [source]
    assert colorize_photo(str(source), colorizer=colorizer).output.read_bytes() == made
    assert Image.open(BytesIO(made)).mode == "RGB"


def test_without_an_output_a_path_in_colour_gives_its_own_content(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.jpg", rgb_of(scene(), *tinted(scene())))
    assert colorize_photo(source, None, colorizer=colorizer) == source.read_bytes()


def test_without_an_output_a_path_has_its_correction(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.png", scene())
    tree = corrections_beside(tmp_path, originals=NO_ORIGINALS)
    correction = tree.write(PurePath("a.png"), CorrectionFile(correction=Correction(saturation=0.0)))
    made = Image.open(BytesIO(colorize_photo(source, None, correction=correction, colorizer=colorizer)))
    assert np.ptp(np.asarray(made, int), axis=2).max() == 0


@pytest.mark.parametrize("kind", [bytes, BytesIO, Image.Image, np.ndarray])
def test_without_an_output_a_picture_in_memory_comes_back_as_it_came(kind: type, colorizer: Colorizer) -> None:
    file = BytesIO()
    Image.fromarray(scene()).save(file, "PNG")
    pictures: dict[type, Any] = {bytes: file.getvalue(), np.ndarray: scene(), Image.Image: Image.fromarray(scene())}
    made = colorize_photo(pictures.get(kind, BytesIO(file.getvalue())), None, colorizer=colorizer)
    assert isinstance(made, kind)
    again = colorize_photo(pictures.get(kind, BytesIO(file.getvalue())), colorizer=colorizer)
    assert pixels(made).tobytes() == pixels(again).tobytes()
    assert pixels(made).shape == (*scene().shape, 3)


def pixels(picture: Any) -> np.ndarray:
    if isinstance(picture, bytes | BytesIO):
        picture = Image.open(BytesIO(picture) if isinstance(picture, bytes) else picture)
    return np.asarray(picture)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_picture_in_memory_is_written_nowhere(tmp_path: Path, overwrite: bool, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.png", scene())
    before, options = source.read_bytes(), Options(overwrite=overwrite)
    with source.open("rb") as file:
        pictures: list[Any] = [before, file, BytesIO(before), scene(), Image.open(source)]
        for picture in pictures:
            for output in (source, str(source), tmp_path / "new.png"):
                with pytest.raises(UsageError, match="is returned, not written to") as caught:
                    colorize_photo(picture, output, options, colorizer=colorizer)
                assert "save what is returned" in caught.value.advice
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == {source: before}


def test_a_picture_in_memory_has_no_correction_file(tmp_path: Path, colorizer: Colorizer) -> None:
    with pytest.raises(UsageError, match="no correction file"):
        colorize_photo(scene(), correction=tmp_path / "a.json", colorizer=colorizer)  # type: ignore[call-overload]


@pytest.mark.parametrize("source", ["scan.jpg", scene()])
def test_options_in_place_of_the_output_are_an_error_of_use(source: Any, colorizer: Colorizer) -> None:
    with pytest.raises(UsageError, match="output: is of type Options, not a path"):
        colorize_photo(source, Options(), colorizer=colorizer)


def test_a_hint_with_a_time_is_refused_for_pictures_too(colorizer: Colorizer) -> None:
    timed = Options(hints=(Hint(x=0.5, y=0.5, color="#3A5FCD", time=1.0),))
    with pytest.raises(UsageError, match="is for films"):
        colorize_photo(scene(), options=timed, colorizer=colorizer)


def test_the_default_of_the_output_can_be_read_in_help() -> None:
    assert " = AS_GIVEN," in str(inspect.signature(colorize_photo))


def test_without_room_for_temporary_files_the_error_says_where_they_are(
    tmp_path: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save(tmp_path / "a.png", scene())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    for picture, name in ((source, str(source)), (source.read_bytes(), "picture in memory")):
        with pytest.raises(OutputError, match=f"{re.escape(name)}: a temporary file cannot be used") as caught:
            colorize_photo(picture, None, colorizer=colorizer)
        assert "TMPDIR" in caught.value.advice


def test_a_pillow_image_of_16_bits_is_refused_with_what_is_taken(colorizer: Colorizer) -> None:
    with pytest.raises(UsageError, match="mode I;16, not L, LA, RGB, RGBA") as caught:
        colorize_photo(Image.fromarray(scene().astype(np.uint16) * 257), colorizer=colorizer)
    assert "array of uint16" in caught.value.advice
    assert colorize_photo(scene().astype(np.uint16) * 257, colorizer=colorizer).dtype == np.uint16


def test_notes_are_told(tmp_path: Path, colorizer: Colorizer) -> None:
    class Notes(Silent):
        def __init__(self) -> None:
            self.heard: list[tuple[str, Note]] = []

        def note(self, item: str, note: Note) -> None:
            self.heard.append((item, note))

    options, notes = Options(treat_as=TreatAs.MONOCHROME), Notes()
    data = save(tmp_path / "a.bmp", scene()).read_bytes()
    result = colorize_photo(tmp_path / "a.bmp", tmp_path / "a.png", options, colorizer=colorizer)
    colorize_photo(data, None, options, colorizer=colorizer, progress=notes)
    assert notes.heard == [("picture in memory", note) for note in result.notes]
    assert notes.heard
    notes.heard.clear()
    colorize_photo(rgb_of(scene(), *tinted(scene())), colorizer=colorizer, progress=notes)
    assert notes.heard


@pytest.mark.parametrize(
    "picture", [b"dear diary", BytesIO(b"dear diary"), np.zeros(4, np.uint8), Image.new("CMYK", (4, 4))]
)
def test_what_is_no_picture_is_refused_before_an_engine_starts(picture: Any) -> None:
    with pytest.raises((InputError, UsageError), match="picture in memory"):
        colorize_photo(picture, None, Options(engine="tensorrt", model="none"))


def test_errors_of_an_encoded_file_name_no_temporary_file(tmp_path: Path, colorizer: Colorizer) -> None:
    data = save(tmp_path / "a.jpg", scene()).read_bytes()
    with pytest.raises(InputError, match=r"^picture in memory: cannot be decoded: it breaks off"):
        colorize_photo(data[:-100], colorizer=colorizer)
    with pytest.raises(UsageError, match="CMYK"):
        colorize_photo(Image.new("CMYK", (8, 8)), colorizer=colorizer)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_pillow_image_of_a_damaged_file_is_an_unusable_input(
    suffix: str, tmp_path: Path, colorizer: Colorizer
) -> None:
    data = save(tmp_path / f"a{suffix}", scene()).read_bytes()
    with pytest.raises(InputError, match="picture in memory: cannot be decoded: "):
        colorize_photo(Image.open(BytesIO(data[: len(data) // 2])), colorizer=colorizer)


def test_a_pillow_image_whose_file_is_closed_is_told_so(tmp_path: Path, colorizer: Colorizer) -> None:
    with save(tmp_path / "a.png", scene()).open("rb") as file:
        image = Image.open(file)
    with pytest.raises(InputError, match=r"picture in memory: cannot be decoded: .*closed") as caught:
        colorize_photo(image, colorizer=colorizer)
    assert "Open it again" in caught.value.advice


def test_a_transparent_colour_of_a_pillow_image_becomes_alpha(tmp_path: Path, colorizer: Colorizer) -> None:
    Image.fromarray(scene()).save(tmp_path / "a.png", transparency=int(scene()[0, 0]))
    image = Image.open(tmp_path / "a.png")
    assert (image.mode, image.info["transparency"]) == ("L", scene()[0, 0])
    made = colorize_photo(image, colorizer=colorizer)
    made.save(tmp_path / "b.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png"))[..., 3] == 0, scene() == scene()[0, 0])


@pytest.mark.parametrize("mode", ["r", "wb", "closed"])
def test_a_file_object_that_is_not_open_for_reading_bytes_is_an_error_of_use(
    mode: str, tmp_path: Path, colorizer: Colorizer
) -> None:
    with save(tmp_path / "a.jpg", scene()).open("rb" if mode == "closed" else mode) as file:
        if mode == "closed":
            file.close()
        with pytest.raises(UsageError, match="picture in memory: ") as caught:
            colorize_photo(file, colorizer=colorizer)
    assert "reading" in f"{caught.value}{caught.value.advice}"


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file whose reading fails")
def test_a_file_object_that_cannot_be_read_is_an_unusable_input(tmp_path: Path, colorizer: Colorizer) -> None:
    with Path("/proc/self/mem").open("rb") as file, pytest.raises(InputError, match="picture in memory: cannot be rea"):
        colorize_photo(file, colorizer=colorizer)
