from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.errors import WeightsError
from tests.training.conftest import synthetic_photo
from training.photo_zips import INDEX, PhotoZips, index_zips, open_photos


def _jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()


def _pack(path: Path, numbers: range, how: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", how) as archive:
        for number in numbers:
            archive.writestr(f"{number:03}-blobs.jpg", _jpeg(synthetic_photo(number)))


def test_photographs_are_read_from_where_they_lie_and_others_are_counted(tmp_path: Path) -> None:
    _pack(tmp_path / "a.zip", range(6))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("grey.jpg", _jpeg(np.repeat(synthetic_photo(0)[..., :1], 3, axis=2)))
        archive.writestr("broken.jpg", b"not a picture")
        archive.writestr("tiny.jpg", _jpeg(synthetic_photo(1, 40, 300)))
        archive.writestr("note.txt", b"not a photograph")
        archive.writestr("blobs.jpg", _jpeg(synthetic_photo(9)))
    assert index_zips(tmp_path) == {"kept": 7, "grey": 1, "unreadable": 1, "too_small": 1}
    photos = open_photos(tmp_path)
    assert len(photos) == 7
    assert photos.sizes.tolist() == [[72, 96]] * 7
    expected = [synthetic_photo(number).astype(int) for number in (0, 1, 2, 3, 4, 5, 9)]
    apart = np.array([[np.abs(photos[number] - one).mean() for one in expected] for number in range(7)])
    # JPEG halves the chroma of blobs with hard edges.
    assert apart.min(axis=1).max() < 5
    assert sorted(apart.argmin(axis=1)) == list(range(7))


def test_who_is_held_out_depends_on_the_name_alone(tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    for folder, count in ((few, 8), (many, 16)):
        folder.mkdir()
        _pack(folder / "photos.zip", range(count))
        index_zips(folder)
    small, large = PhotoZips(few), PhotoZips(many)
    order = [next(n for n in range(16) if np.array_equal(large[n], small[number])) for number in range(8)]
    assert order == sorted(order)


def test_compressed_and_changed_photographs_are_refused(tmp_path: Path) -> None:
    _pack(tmp_path / "photos.zip", range(2), zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="is compressed"):
        index_zips(tmp_path)
    assert not (tmp_path / INDEX).exists()
    _pack(tmp_path / "photos.zip", range(2))
    index_zips(tmp_path)
    (tmp_path / "photos.zip").write_bytes(bytes((tmp_path / "photos.zip").stat().st_size))
    with pytest.raises(WeightsError, match="changed after it was indexed"):
        PhotoZips(tmp_path)[0]
