"""What is in doubt says so, with the option that decides otherwise; what has colour on a small part keeps it there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.color.colorizer import Colorizer
from pipeline.documents import result_from_json, to_json
from pipeline.options import Hint, Options, TreatAs
from pipeline.photo.one import colorize_photo
from pipeline.results import Doubt, PhotoResult, SourceTone, Treatment
from tests.photos import rgb_of, save, scene, sepia, tinted

STAMP = np.s_[180:230, 250:330]
PRINT = scene(width=352, height=256)


def stamped(rgb: np.ndarray) -> np.ndarray:
    made = rgb.copy()
    made[STAMP] = (150, 40, 130)
    return made


def rgb_of_grey() -> np.ndarray:
    return np.repeat(PRINT[..., None], 3, axis=2)


def result_of(source: Path, colorizer: Colorizer, **options: object) -> PhotoResult:
    chosen = Options(**options)  # type: ignore[arg-type]
    return colorize_photo(source, source.parent / "out" / source.name, chosen, colorizer=colorizer)


@pytest.mark.few(1)
@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize("tone", ["grey", "sepia"])
def test_a_stamp_keeps_its_colour_and_is_named(tone: str, suffix: str, tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / f"a.{suffix}", stamped(rgb_of_grey() if tone == "grey" else sepia(PRINT)))
    result = result_of(source, colorizer)
    assert result.treatment is Treatment.COLOURED
    made = np.asarray(Image.open(result.output).convert("RGB"), int)
    inner = made[STAMP][12:-12, 12:-12].reshape(-1, 3)
    assert np.abs(inner.mean(axis=0) - (150, 40, 130)).max() < 12
    assert [doubt.instead for doubt in result.doubts] == [SourceTone.COLOUR]
    (note,) = [note for note in result.notes if "keeps it" in note.text]
    assert "--treat-as colour" in note.text
    assert result.measures is not None
    assert result.measures.doubt >= 0.5


def test_a_person_s_colour_replaces_the_stamp_s(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.png", stamped(rgb_of_grey()))
    hint = Hint(x=290 / 352, y=205 / 256, color="#2A7A40")
    made = np.asarray(Image.open(result_of(source, colorizer, hints=(hint,)).output).convert("RGB"), int)
    inner = made[STAMP][12:-12, 12:-12].reshape(-1, 3).mean(axis=0)
    assert inner[1] > inner[0] + 25
    assert inner[1] > inner[2] + 10


@pytest.mark.slow
def test_a_stamp_is_coloured_over_on_demand(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.png", stamped(rgb_of_grey()))
    kept = result_of(source, colorizer)
    over = result_of(source, colorizer, treat_as=TreatAs.MONOCHROME, overwrite=True)
    assert over.doubts == ()
    assert not any("keeps it" in note.text for note in over.notes)
    assert kept.doubts


def test_what_is_sure_has_no_doubt(tmp_path: Path, colorizer: Colorizer) -> None:
    for number, rgb in enumerate((rgb_of_grey(), sepia(PRINT), rgb_of(PRINT, *tinted(PRINT)))):
        assert result_of(save(tmp_path / f"{number}.png", rgb), colorizer).doubts == ()


@pytest.mark.slow
def test_pale_colours_are_kept_and_in_doubt_with_the_option_that_colours_them(
    tmp_path: Path, colorizer: Colorizer
) -> None:
    results = [
        result_of(
            save(tmp_path / f"{share}.png", rgb_of(PRINT, *(share / 100 * plane for plane in tinted(PRINT)))), colorizer
        )
        for share in range(2, 40, 6)
    ]
    treated = [result.treatment is Treatment.KEPT for result in results]
    assert treated == sorted(treated)
    first = results[treated.index(True)]
    (doubt,) = first.doubts
    command = f"colorize-photo {first.source} -o {first.output} --overwrite --treat-as tinted"
    assert doubt == Doubt(reason="may be a toned print, not coloured yet", instead=SourceTone.TINTED, command=command)
    assert any("--treat-as tinted" in note.text for note in first.notes)


@pytest.mark.slow
def test_doubts_survive_the_ledger(tmp_path: Path, colorizer: Colorizer) -> None:
    result = result_of(save(tmp_path / "a.png", stamped(rgb_of_grey())), colorizer)
    back = result_from_json(to_json(result))
    assert isinstance(back, PhotoResult)
    assert back.doubts == result.doubts


def exposed(path: Path, rgb: np.ndarray, *, source: bytes = b"\x03") -> Path:
    """A photograph with the EXIF of an exposure; ``source`` is 3 for a digital camera, 1 and 2 for scanners."""
    image = Image.fromarray(rgb)
    exif = image.getexif()
    exif[0x8769] = {0x829A: (1, 125), 0x829D: (28, 10), 0xA300: source}
    image.save(path, exif=exif, quality=95)
    return path


@pytest.mark.slow
def test_what_a_camera_took_needs_more_evidence_before_its_colours_are_replaced(
    tmp_path: Path, colorizer: Colorizer
) -> None:
    brown = np.sin(np.pi * PRINT / 255)
    toned = [
        rgb_of(
            PRINT, *(tone * brown + share / 100 * plane for tone, plane in zip((-15, 10), tinted(PRINT), strict=True))
        )
        for share in range(2, 16, 2)
    ]
    treated = {}
    for name, make in {
        "scan": lambda path, rgb: save(path, rgb, quality=95),
        "film scanner": lambda path, rgb: exposed(path, rgb, source=b"\x01"),
        "camera": exposed,
    }.items():
        (tmp_path / name).mkdir()
        results = [
            result_of(make(tmp_path / name / f"{number}.jpg", rgb), colorizer) for number, rgb in enumerate(toned)
        ]
        treated[name] = [result.treatment is Treatment.KEPT for result in results]
        assert treated[name] == sorted(treated[name])
    assert sum(treated["scan"]) == sum(treated["film scanner"]) < sum(treated["camera"])


@pytest.mark.slow
def test_grey_and_sepia_by_a_camera_are_coloured_nevertheless(tmp_path: Path, colorizer: Colorizer) -> None:
    for number, rgb in enumerate((rgb_of_grey(), sepia(PRINT))):
        result = result_of(exposed(tmp_path / f"{number}.jpg", rgb), colorizer)
        assert result.treatment is Treatment.COLOURED
