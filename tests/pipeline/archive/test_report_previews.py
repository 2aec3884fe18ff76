from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest

from pipeline.archive.report.previews import Packed, Packs, read
from pipeline.errors import OutputError
from pipeline.originals import NO_ORIGINALS
from pipeline.results import Preview


def shots(count: int, mark: bytes = b"") -> list[Preview]:
    return [Preview(label=str(n), before=b"before%d" % n + mark, after=b"after%d" % n + mark) for n in range(count)]


def pictures(home: Path, packed: Packed | None, count: int) -> list[tuple[bytes, bytes]]:
    assert packed is not None
    return [(b64decode(before), b64decode(after)) for before, after in read(home, packed, count)]


def files(home: Path) -> list[Path]:
    return sorted(path for path in home.rglob("*") if path.is_file())


def test_pictures_are_found_again_where_they_were_put(tmp_path: Path) -> None:
    packs = Packs(tmp_path, originals=NO_ORIGINALS)
    film, photo = packs.keep("people/a.mp4", shots(2)), packs.keep("caf\udce9.jpg", shots(1, b"!"))
    assert pictures(tmp_path, film, 2) == [(b"before0", b"after0"), (b"before1", b"after1")]
    assert pictures(tmp_path, photo, 1) == [(b"before0!", b"after0!")]
    assert packs.keep("b.jpg", []) is None


def test_many_pictures_are_few_files_and_a_run_never_adds_to_those_of_another(tmp_path: Path) -> None:
    first, second = (Packs(tmp_path, originals=NO_ORIGINALS, full=4000) for _ in range(2))
    kept = [first.keep(f"{number}.jpg", shots(1)) for number in range(200)]
    assert len(files(tmp_path)) < 12
    assert all(len(pictures(tmp_path, packed, 1)) == 1 for packed in kept)
    later = second.keep("later.jpg", shots(1))
    assert later is not None
    assert later.offset == 0


def test_what_a_run_that_died_left_half_written_harms_no_other(tmp_path: Path) -> None:
    kept = Packs(tmp_path, originals=NO_ORIGINALS).keep("a.jpg", shots(1))
    (pack,) = files(tmp_path)
    with pack.open("ab") as file:
        file.write(b":root{--0123-0-before:url(data:image/jpeg;base64,AAAA")
    assert len(pictures(tmp_path, kept, 1)) == 1
    half = Packed(1, pack.read_bytes().index(b"\n") + 1)
    assert read(tmp_path, half, 1) == []


def test_packs_that_hold_nothing_any_more_are_deleted(tmp_path: Path) -> None:
    kept = [Packs(tmp_path, originals=NO_ORIGINALS).keep("a.jpg", shots(1)) for _ in range(3)]
    Packs(tmp_path, originals=NO_ORIGINALS).discard({2})
    assert [len(read(tmp_path, packed, 1)) for packed in kept if packed] == [0, 1, 0]


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "previews").write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(OutputError, match="small pictures") as caught:
        Packs(tmp_path, originals=NO_ORIGINALS).keep("a.jpg", shots(1))
    assert caught.value.advice
