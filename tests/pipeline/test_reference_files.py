from __future__ import annotations

from pathlib import Path, PurePath

import pytest

from pipeline.errors import InputError
from pipeline.reference_files import ReferenceFiles, reference_fingerprint


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_picture_is_a_reference_for_all_and_one_beside_comes_first(tmp_path: Path) -> None:
    given = touch(tmp_path / "given.jpg")
    one, two = (touch(tmp_path / "scans" / name) for name in ("1931.jpg", "1932.jpg"))
    beside = touch(tmp_path / "scans" / "1931.ref.png")
    files = ReferenceFiles(given)
    assert files.of(one, PurePath("1931.jpg")) == (beside,)
    assert files.of(two, PurePath("1932.jpg")) == (given,)
    assert ReferenceFiles(None).of(two, PurePath("1932.jpg")) == ()


def test_a_folder_holds_references_in_the_photographs_own_tree(tmp_path: Path) -> None:
    photo = touch(tmp_path / "scans" / "album" / "1931.jpg")
    found = [touch(tmp_path / "refs" / "album" / name) for name in ("1931.ref.1.jpg", "1931.ref.2.jpg")]
    touch(tmp_path / "refs" / "1931.ref.jpg")
    touch(tmp_path / "refs" / "album" / "19310.ref.jpg")
    files = ReferenceFiles(tmp_path / "refs")
    assert files.of(photo, PurePath("album/1931.jpg")) == tuple(found)
    assert files.of(photo.with_name("1932.jpg"), PurePath("album/1932.jpg")) == ()
    assert files.of(photo, PurePath("elsewhere/1931.jpg")) == ()


def test_a_reference_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such reference"):
        ReferenceFiles(tmp_path / "none.jpg")
    with pytest.raises(InputError, match="cannot be reached"):
        reference_fingerprint([tmp_path / "none.jpg"])


def test_another_file_of_the_same_name_has_another_fingerprint(tmp_path: Path) -> None:
    path = touch(tmp_path / "a.ref.jpg")
    before = reference_fingerprint([path])
    path.write_bytes(b"other")
    assert reference_fingerprint([path]) != before
    assert reference_fingerprint([]) == ""
