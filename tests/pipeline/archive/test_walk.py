from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.archive.walk import Kind, walk
from tests.films import Sound, make_film
from tests.photos import save, scene


def grow(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"-")
    return root


def found(root: Path, **options: Any) -> list[tuple[str, Kind]]:
    return [(entry.path.as_posix(), entry.kind) for entry in walk(root, **options)]


def test_files_come_in_order_of_name_and_before_the_folders(tmp_path: Path) -> None:
    grow(tmp_path, "b/2.jpg", "b/1.mov", "a/z/3.png", "a/4.tif", "c.webp", "a.mp4")
    names = [name for name, _ in found(tmp_path)]
    assert names == ["a.mp4", "c.webp", "a/4.tif", "a/z/3.png", "b/1.mov", "b/2.jpg"]


def test_kinds_are_told_by_suffix_whatever_its_case(tmp_path: Path) -> None:
    grow(tmp_path, "a.JPG", "b.Mkv", "c.txt", "d", "e.bmp", "f.m2ts")
    assert found(tmp_path) == [
        ("a.JPG", Kind.PHOTO),
        ("b.Mkv", Kind.FILM),
        ("c.txt", Kind.OTHER),
        ("d", Kind.OTHER),
        ("e.bmp", Kind.PHOTO),
        ("f.m2ts", Kind.FILM),
    ]


def test_what_systems_keep_for_themselves_is_not_mentioned(tmp_path: Path) -> None:
    grow(tmp_path, "Thumbs.db", "desktop.ini", ".DS_Store", "._a.jpg", ".autochrome-12ab.mp4")
    grow(tmp_path, "@eaDir/a.jpg", "__MACOSX/a.jpg", "$RECYCLE.BIN/a.jpg", "a.jpg")
    assert found(tmp_path) == [("a.jpg", Kind.PHOTO)]


def test_hidden_files_and_folders_and_what_was_recovered_are_named_and_not_entered(tmp_path: Path) -> None:
    grow(tmp_path, ".scan.jpg", ".private/a.jpg", "lost+found/b.jpg", "a.jpg")
    assert found(tmp_path) == [
        (".private", Kind.HIDDEN),
        (".scan.jpg", Kind.HIDDEN),
        ("a.jpg", Kind.PHOTO),
        ("lost+found", Kind.HIDDEN),
    ]


def test_a_file_of_an_unknown_suffix_is_what_its_first_bytes_say(tmp_path: Path) -> None:
    make_film(tmp_path / "a.mkv", codec="libx264", times=range(2))
    make_film(tmp_path / "b.mp4", codec="libx264", times=range(2))
    save(tmp_path / "c.png", scene())
    for name in ("a.mkv", "b.mp4", "c.png"):
        (tmp_path / name).rename(tmp_path / f"{name}.bak")
    grow(tmp_path, "d.bak", "e")
    (tmp_path / "song.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    assert found(tmp_path) == [
        ("a.mkv.bak", Kind.FILM),
        ("b.mp4.bak", Kind.FILM),
        ("c.png.bak", Kind.PHOTO),
        ("d.bak", Kind.OTHER),
        ("e", Kind.OTHER),
        ("song.m4a", Kind.OTHER),
    ]


def test_ogg_is_a_film_only_if_there_is_one_in_it(tmp_path: Path) -> None:
    make_film(tmp_path / "dance.ogg", codec="libvpx", sounds=[Sound(codec="libopus")], times=range(2))
    make_film(tmp_path / "song.mkv", codec="libvpx", sounds=[Sound(codec="libopus")], times=range(2))
    with av.open(str(tmp_path / "song.mkv")) as film, av.open(str(tmp_path / "song.ogg"), "w") as song:
        sound = film.streams.audio[0]
        stream = song.add_stream_from_template(sound)
        for packet in film.demux(sound):
            if packet.dts is not None:
                packet.stream = stream
                song.mux(packet)
    (tmp_path / "song.mkv").unlink()
    assert found(tmp_path) == [("dance.ogg", Kind.FILM), ("song.ogg", Kind.OTHER)]


@pytest.mark.few(12)
@pytest.mark.parametrize(
    "suffix",
    ["mod", "tod", "m2t", "m2v", "asf", "rm", "qt", "3g2", "f4v", "divx", "ogm", "mpe", "m1v", "vro", "gxf", "y4m"],
)
def test_films_of_camcorders_and_recorders_are_films(tmp_path: Path, suffix: str) -> None:
    grow(tmp_path, f"film.{suffix}")
    assert found(tmp_path) == [(f"film.{suffix}", Kind.FILM)]


def test_a_link_that_leads_to_itself_is_left_to_its_reader(tmp_path: Path) -> None:
    grow(tmp_path, "a.jpg")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "b").symlink_to("c")
    (tmp_path / "c").symlink_to("b")
    assert found(tmp_path, follow_links=True) == [
        ("a.jpg", Kind.PHOTO),
        ("b", Kind.OTHER),
        ("c", Kind.OTHER),
        ("self.jpg", Kind.PHOTO),
    ]


def test_a_hidden_root_is_entered_because_it_was_asked_for(tmp_path: Path) -> None:
    assert found(grow(tmp_path / ".scans", "a.jpg")) == [("a.jpg", Kind.PHOTO)]


def test_links_to_folders_are_named_and_not_followed(tmp_path: Path) -> None:
    grow(tmp_path, "a/b.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert found(tmp_path) == [("a/b.jpg", Kind.PHOTO), ("a/loop", Kind.LINK)]


def test_links_to_folders_outside_are_followed_if_asked_for_each_folder_once(tmp_path: Path) -> None:
    root, other = tmp_path / "root", tmp_path / "other"
    grow(root, "a.jpg", "real/b.jpg")
    grow(other, "c.jpg", "deep/d.jpg")
    links = {"1": other, "2": other / "deep", "3": root / "real", "4": root, "5": tmp_path / "gone"}
    for name, target in links.items():
        (root / name).symlink_to(target, target_is_directory=True)
    (other / "back").symlink_to(root, target_is_directory=True)
    (other / "round").symlink_to(other, target_is_directory=True)
    assert found(root, follow_links=True) == [
        ("3", Kind.LINK),
        ("4", Kind.LINK),
        ("5", Kind.OTHER),
        ("a.jpg", Kind.PHOTO),
        ("1/back", Kind.LINK),
        ("1/c.jpg", Kind.PHOTO),
        ("1/deep", Kind.LINK),
        ("1/round", Kind.LINK),
        ("2/d.jpg", Kind.PHOTO),
        ("real/b.jpg", Kind.PHOTO),
    ]


def test_a_link_never_leads_into_the_output(tmp_path: Path) -> None:
    root, output = tmp_path / "root", tmp_path / "far" / "out"
    grow(root, "a.jpg")
    grow(tmp_path / "far", "b.jpg", "out/result.jpg")
    (root / "far").symlink_to(tmp_path / "far", target_is_directory=True)
    (root / "out").symlink_to(output, target_is_directory=True)
    assert found(root, follow_links=True, output=output) == [
        ("a.jpg", Kind.PHOTO),
        ("out", Kind.LINK),
        ("far/b.jpg", Kind.PHOTO),
        ("far/out", Kind.LINK),
    ]


def test_links_to_files_are_files(tmp_path: Path) -> None:
    target = grow(tmp_path / "elsewhere", "a.jpg") / "a.jpg"
    root = tmp_path / "root"
    root.mkdir()
    (root / "b.jpg").symlink_to(target)
    assert found(root) == [("b.jpg", Kind.PHOTO)]


def test_a_pipe_named_like_a_film_is_no_film(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "live.mp4")
    assert found(tmp_path) == [("live.mp4", Kind.OTHER)]


def test_results_of_earlier_runs_are_set_aside(tmp_path: Path) -> None:
    grow(tmp_path, "reel.mp4", "reel.colorized.mp4", "lone.colorized.mp4", "tin/a.jpg", "tin-colorized/a.jpg")
    grow(tmp_path, "box-colorized/b.jpg", "scan.heic", "scan.colorized.png", "lone.colorized.png")
    assert found(tmp_path) == [
        ("lone.colorized.mp4", Kind.FILM),
        ("lone.colorized.png", Kind.PHOTO),
        ("reel.colorized.mp4", Kind.RESULT),
        ("reel.mp4", Kind.FILM),
        ("scan.colorized.png", Kind.RESULT),
        ("scan.heic", Kind.PHOTO),
        ("tin-colorized", Kind.RESULT),
        ("box-colorized/b.jpg", Kind.PHOTO),
        ("tin/a.jpg", Kind.PHOTO),
    ]


def test_references_are_set_aside_only_beside_what_they_are_for(tmp_path: Path) -> None:
    grow(
        tmp_path,
        "1931.jpg",
        "1931.ref.jpg",
        "1931.ref.2.png",
        "1931.ref.txt",
        "1932.ref.jpg",
        "notes.txt",
        "notes.ref.jpg",
    )
    grow(
        tmp_path,
        "film.mp4",
        "film.ref.jpg",
        "film.refs/000001.png",
        "lone.refs/000001.png",
        "1933/a.jpg",
        "1933.ref.jpg",
    )
    assert found(tmp_path) == [
        ("1931.jpg", Kind.PHOTO),
        ("1931.ref.2.png", Kind.RESULT),
        ("1931.ref.jpg", Kind.RESULT),
        ("1931.ref.txt", Kind.OTHER),
        ("1932.ref.jpg", Kind.PHOTO),
        ("1933.ref.jpg", Kind.PHOTO),
        ("film.mp4", Kind.FILM),
        ("film.ref.jpg", Kind.RESULT),
        ("film.refs", Kind.RESULT),
        ("notes.ref.jpg", Kind.PHOTO),
        ("notes.txt", Kind.OTHER),
        ("1933/a.jpg", Kind.PHOTO),
        ("lone.refs/000001.png", Kind.PHOTO),
    ]


def test_a_folder_that_cannot_be_listed_is_named_and_the_walk_goes_on(tmp_path: Path) -> None:
    grow(tmp_path, "a/1.jpg", "b/2.jpg", "c.jpg")
    entries = walk(tmp_path)
    assert next(entries).path == Path("c.jpg")
    (tmp_path / "a" / "1.jpg").unlink()
    (tmp_path / "a").rmdir()
    barred, photo = list(entries)
    assert (barred.path, barred.kind) == (Path("a"), Kind.BARRED)
    assert barred.reason
    assert photo.path == Path("b/2.jpg")


def test_folders_that_differ_only_in_case_clash_where_the_disk_folds_case(tmp_path: Path) -> None:
    grow(tmp_path, "A/1.jpg", "a/2.jpg")
    assert found(tmp_path, folds=True) == [("a", Kind.BARRED), ("A/1.jpg", Kind.PHOTO)]
    assert found(tmp_path) == [("A/1.jpg", Kind.PHOTO), ("a/2.jpg", Kind.PHOTO)]


def test_the_walk_is_lazy(tmp_path: Path) -> None:
    grow(tmp_path, "a.jpg", "b/c.jpg")
    entries = walk(tmp_path)
    next(entries)
    grow(tmp_path, "b/b.jpg")
    assert [entry.path.as_posix() for entry in entries] == ["b/b.jpg", "b/c.jpg"]


@pytest.mark.parametrize("name", ["app.ts", "app.mts"])
def test_texts_that_share_their_suffix_with_films_are_no_films(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('export const title = "caf\u00e9";\n\treturn;\n', encoding="utf-8")
    assert found(tmp_path) == [(name, Kind.OTHER)]
    (tmp_path / name).write_bytes(b"\x47\x40\x00\x10" + bytes(184))
    assert found(tmp_path) == [(name, Kind.FILM)]
    (tmp_path / name).write_bytes(b"")
    assert found(tmp_path) == [(name, Kind.FILM)]
