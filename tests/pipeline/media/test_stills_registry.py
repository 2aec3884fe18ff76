"""One registry: every format is told by its content, by one object; what is not coloured is refused by its name."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import InputError, UnsupportedError
from pipeline.media.stills import converted_suffix, read_still
from pipeline.media.stills.png import WrittenAsPng
from pipeline.media.stills.refused import REFUSED
from pipeline.media.stills.registry import FORMATS, REFUSED_SUFFIXES, SUFFIXES, format_of
from tests import photos
from tests.pipeline.media.test_stills import CASES, Case, coloured

STILLS = Path(__file__).parents[3] / "pipeline" / "media" / "stills"


def test_no_suffix_has_two_formats() -> None:
    counted = Counter(suffix for still_format in FORMATS for suffix in still_format.suffixes)
    counted += Counter(suffix for refused in REFUSED for suffix in refused.suffixes)
    assert set(counted.values()) == {1}
    assert not SUFFIXES & REFUSED_SUFFIXES


@pytest.mark.few(8)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_exactly_one_format_takes_a_file_for_its_own(case: Case, tmp_path: Path) -> None:
    head = case.make(tmp_path / f"photo{case.suffix}").read_bytes()[:64]
    (found,) = [still_format for still_format in FORMATS if still_format.sniff(head)]
    assert case.suffix in found.suffixes
    assert format_of(head) is found


@pytest.mark.few(6)
@pytest.mark.parametrize("refused", [kind for kind in REFUSED if kind.magics], ids=lambda kind: kind.name)
def test_a_format_is_refused_by_its_first_bytes_whatever_it_is_called(refused: object, tmp_path: Path) -> None:
    assert refused in REFUSED
    for offset, magic in refused.magics:  # type: ignore[attr-defined]
        path = tmp_path / "photo.jpg"
        path.write_bytes((bytes(offset) + magic).ljust(100, b"\x01"))
        with pytest.raises(UnsupportedError) as caught:
            read_still(path)
        assert refused.name in str(caught.value)  # type: ignore[attr-defined]
        assert caught.value.advice


def test_a_format_without_first_bytes_of_its_own_is_refused_by_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "photo.tga"
    path.write_bytes(bytes((0, 0, 2)) + bytes(100))
    with pytest.raises(UnsupportedError, match="Targa"):
        read_still(path)


def test_a_suffix_alone_makes_no_picture(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        (tmp_path / f"diary{suffix}").write_text("dear diary")
        with pytest.raises(InputError, match="is not a picture"):
            read_still(tmp_path / f"diary{suffix}")


def test_a_file_without_content_is_not_called_a_picture_of_another_format(tmp_path: Path) -> None:
    for data, said in ((b"", "is empty"), (bytes(9000), "nothing but zeros")):
        (tmp_path / "photo.jpg").write_bytes(data)
        with pytest.raises(InputError, match=said) as caught:
            read_still(tmp_path / "photo.jpg")
        assert "Copy it again" in caught.value.advice


def test_only_formats_that_cannot_hold_a_result_get_another_suffix() -> None:
    changed = {
        suffix: converted_suffix(Path(f"a{suffix}")) for suffix in SUFFIXES if converted_suffix(Path(f"a{suffix}"))
    }
    assert set(changed.values()) == {".png"}
    assert set(changed) == {suffix for one in FORMATS if isinstance(one, WrittenAsPng) for suffix in one.suffixes}
    assert {".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".avif"} <= set(changed)


def test_jpeg_and_tiff_are_packages_with_one_door() -> None:
    for package, doors in (("jpeg", {"jpeg"}), ("tiff", {"tiff"})):
        inner = f"pipeline.media.stills.{package}."
        outside = [
            path for path in STILLS.parents[2].joinpath("pipeline").rglob("*.py") if path.parent.name not in doors
        ]
        for path in outside:
            assert f"from {inner}" not in path.read_text(encoding="utf-8"), path


@pytest.mark.few(3)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".bmp", ".gif", ".avif", ".jp2"])
def test_pillow_s_limit_is_the_caller_s_and_does_not_hold_here(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"photo{suffix}"
    if suffix == ".jp2":
        photos.save_jp2(path, photos.scene())
    else:
        photos.save(path, photos.scene())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        still, _ = coloured(path)
    assert np.array_equal(still.luma.shape, (photos.HEIGHT, photos.WIDTH))
    assert Image.MAX_IMAGE_PIXELS == 100


def test_nor_does_it_where_a_jpeg_s_chroma_is_stored_finely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = photos.save(tmp_path / "photo.jpg", photos.scene())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        coloured(path, fine=np.eye(-(-photos.HEIGHT // 8), -(-photos.WIDTH // 8), dtype=bool))
