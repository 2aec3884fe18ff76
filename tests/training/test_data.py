from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training.conftest import png, synthetic_photo
from training.data import (
    CacheReport,
    CropStream,
    PhotoCache,
    Stage,
    build_cache,
    check_cache,
    crops_before,
    is_cache,
    middle_crop,
    random_crop,
)
from training.photo_files import PhotosError

pytestmark = pytest.mark.slow


def _stream(folder: Path, *, batch: int = 4, seed: int = 1, holdout: int = 2) -> CropStream:
    return CropStream(PhotoCache(folder), stages=[Stage(1, batch, 32, 0.6)], seed=seed, holdout=holdout)


def test_grey_tiny_and_broken_pictures_are_left_out_and_counted(photo_zip: Path, tmp_path: Path) -> None:
    report = build_cache([photo_zip], tmp_path / "cache", short_side=64)
    assert report == CacheReport(kept=12, too_small=1, grey=1, toned=0, unreadable=1)
    assert json.loads((tmp_path / "cache" / "report.json").read_text()) == vars(report)


@pytest.mark.parametrize("tone", [(1.0, 0.82, 0.6), (0.7, 0.85, 1.0)], ids=["sepia", "blue"])
def test_toned_prints_are_left_out_and_counted(tmp_path: Path, tone: tuple[float, ...]) -> None:
    (tmp_path / "album").mkdir()
    for number in range(3):
        grey = synthetic_photo(number).mean(axis=2, keepdims=True)
        paper = np.random.default_rng(number).normal(0, 2, grey.shape)
        (tmp_path / "album" / f"{number}.png").write_bytes(png(np.uint8(np.clip((grey + paper) * tone, 0, 255))))
    (tmp_path / "album" / "colour.png").write_bytes(png(synthetic_photo(7)))
    report = build_cache([tmp_path / "album"], tmp_path / "cache", short_side=64)
    assert (report.kept, report.toned) == (1, 3)


def test_a_limit_takes_the_first_and_the_number_of_workers_changes_nothing(
    photo_zip: Path, photo_cache: Path, tmp_path: Path
) -> None:
    assert build_cache([photo_zip], tmp_path / "few", short_side=64, limit=5).kept == 5
    build_cache([photo_zip], tmp_path / "slow", short_side=64, workers=1)
    assert (tmp_path / "slow" / "pixels.u8").read_bytes() == (photo_cache / "pixels.u8").read_bytes()


def test_a_folder_tree_gives_the_same_pixels_as_a_zip(photo_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    for number in range(12):
        (tmp_path / "tree" / "deep" / f"{number:02}.png").write_bytes(png(synthetic_photo(number)))
    build_cache([tmp_path / "tree"], tmp_path / "cache", short_side=64)
    assert (tmp_path / "cache" / "pixels.u8").read_bytes() == (photo_cache / "pixels.u8").read_bytes()


def test_photographs_are_scaled_to_the_short_side_and_never_enlarged(photo_zip: Path, tmp_path: Path) -> None:
    build_cache([photo_zip], tmp_path / "small", short_side=64)
    build_cache([photo_zip], tmp_path / "whole", short_side=500)
    assert PhotoCache(tmp_path / "small")[0].shape == (64, 85, 3)
    np.testing.assert_array_equal(PhotoCache(tmp_path / "whole")[3], synthetic_photo(3))


def test_crops_are_a_pure_function_of_seed_and_step(photo_cache: Path) -> None:
    forwards = [_stream(photo_cache)[step] for step in range(7)]
    stream = _stream(photo_cache)
    for step in (6, 2, 4, 2, 0):
        np.testing.assert_array_equal(stream[step], forwards[step])
    assert not np.array_equal(_stream(photo_cache, seed=2)[0], forwards[0])


def test_batches_have_the_promised_shape_and_type(photo_cache: Path) -> None:
    crops = _stream(photo_cache)[0]
    assert crops.shape == (4, 3, 32, 32)
    assert crops.dtype == np.uint8
    assert crops.flags.c_contiguous


def test_an_epoch_shows_every_photograph_once_and_the_held_out_never(tmp_path: Path) -> None:
    shades = [(40 + 20 * n, 90, 0) for n in range(8)]
    (tmp_path / "flat").mkdir()
    for number, shade in enumerate(shades):
        picture = np.full((64, 64, 3), shade, np.uint8)
        picture[..., 2] = np.random.default_rng(number).integers(0, 256, (64, 64))
        (tmp_path / "flat" / f"{number}.png").write_bytes(png(picture))
    build_cache([tmp_path / "flat"], tmp_path / "cache", short_side=64)
    stream = _stream(tmp_path / "cache", batch=2, holdout=2)
    for epoch in range(2):
        seen = sorted(int(crop[0, 0, 0]) for step in range(3) for crop in stream[3 * epoch + step])
        assert seen == [shade[0] for shade in shades[:6]]


def test_growing_crops_go_on_with_the_photographs_where_smaller_ones_stopped(photo_cache: Path) -> None:
    stages = [Stage(2, 4, 32, 0.6), Stage(3, 1, 64, 0.6), Stage(9, 2, 48, 0.6)]
    stream = CropStream(PhotoCache(photo_cache), stages=stages, seed=1, holdout=0)
    assert [stream[step].shape for step in range(5)] == [
        (count, 3, size, size) for count, size in ((4, 32), (4, 32), (1, 64), (2, 48), (2, 48))
    ]
    assert [crops_before(stages, step) for step in range(6)] == [0, 4, 8, 9, 11, 13]
    numbers = [crop.number for step in range(4) for crop in stream.plan(step)]
    assert sorted(numbers) == sorted(set(numbers))


def test_processes_share_a_batch_without_gaps_or_doubles(photo_cache: Path) -> None:
    whole = _stream(photo_cache)[3]
    options = {"stages": [Stage(1, 4, 32, 0.6)], "seed": 1, "holdout": 2, "ranks": 2}
    even, odd = (CropStream(PhotoCache(photo_cache), rank=rank, **options)[3] for rank in (0, 1))
    np.testing.assert_array_equal(even, whole[::2])
    np.testing.assert_array_equal(odd, whole[1::2])


def test_a_middle_crop_is_the_whole_short_side() -> None:
    picture = synthetic_photo(0)
    np.testing.assert_array_equal(middle_crop(picture, 72), picture[:, 12:84])
    assert middle_crop(picture, 32).shape == (32, 32, 3)


@pytest.mark.parametrize("size", [16, 64, 100])
def test_random_crops_have_the_asked_size(size: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        crop = random_crop(synthetic_photo(0), size, 0.5, rng)
        assert crop.shape == (size, size, 3)
        assert crop.dtype == np.uint8


@pytest.mark.parametrize("kind", ["missing", "a file", "empty", "grey"])
def test_photographs_that_are_not_there_are_an_error_and_leave_nothing(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    if kind == "a file":
        source.write_text("no zip")
    elif kind in ("empty", "grey"):
        source.mkdir()
    if kind == "grey":
        Image.fromarray(np.full((80, 80, 3), 90, np.uint8)).save(source / "grey.png")
    told = {
        "missing": "no such folder",
        "a file": "no folder and no zip file",
        "empty": "no picture at all",
        "grey": "usable for training: 1 grey",
    }[kind]
    with pytest.raises(PhotosError, match=told):
        build_cache([source], tmp_path / "cache", short_side=64)
    assert not (tmp_path / "cache").exists()


def test_a_cache_knows_what_it_was_made_of(photo_zip: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert not is_cache(cache)
    build_cache([photo_zip], cache, short_side=64)
    assert is_cache(cache)
    for enough in (None, 8):
        check_cache(cache, sources=[photo_zip], short_side=64, enough=enough)
        check_cache(cache, sources=None, short_side=None, enough=enough)
    with pytest.raises(PhotosError, match="other photographs"):
        check_cache(cache, sources=[tmp_path], short_side=None, enough=None)
    with pytest.raises(PhotosError, match="reduced to 64 pixels, not 128"):
        check_cache(cache, sources=None, short_side=128, enough=None)


def _album(folder: Path, numbers: range) -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / f"{number:02}.png").write_bytes(png(synthetic_photo(number)))
    return folder


def _zipped(path: Path, numbers: range) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number in numbers:
            archive.writestr(f"{number:02}.png", png(synthetic_photo(number)))
    return path


def test_a_cache_is_not_taken_for_photographs_that_came_later(tmp_path: Path) -> None:
    album, packed = _album(tmp_path / "album", range(3)), _zipped(tmp_path / "more.zip", range(2))
    cache = tmp_path / "cache"
    build_cache([album, packed], cache, short_side=64)
    check_cache(cache, sources=[packed, album], short_side=None, enough=None)
    _album(album, range(3, 4))
    with pytest.raises(PhotosError, match=r"album.*: 6 pictures, 5 when .*cache was made of them") as changed:
        check_cache(cache, sources=[album, packed], short_side=None, enough=None)
    assert "leave out --photos" in changed.value.advice
    (album / "03.png").unlink()
    check_cache(cache, sources=[album, packed], short_side=None, enough=None)
    _zipped(packed, range(1, 3))
    with pytest.raises(PhotosError, match="5 pictures, but not those when"):
        check_cache(cache, sources=[album, packed], short_side=None, enough=None)


def test_a_cache_stands_without_what_it_was_made_of(tmp_path: Path) -> None:
    album, cache = _album(tmp_path / "album", range(3)), tmp_path / "cache"
    build_cache([album], cache, short_side=64)
    _album(album, range(4))
    check_cache(cache, sources=None, short_side=None, enough=None)
    shutil.rmtree(album)
    check_cache(cache, sources=[album], short_side=None, enough=None)
    made_of = json.loads((cache / "made-of.json").read_text())
    assert made_of.pop("pictures") == 3
    made_of.pop("digest")
    # As earlier versions wrote it.
    (cache / "made-of.json").write_text(json.dumps(made_of))
    _album(album, range(5))
    check_cache(cache, sources=[album], short_side=None, enough=None)


def test_what_cannot_be_read_among_photographs_is_counted(tmp_path: Path) -> None:
    album, packed = _album(tmp_path / "album", range(3)), tmp_path / "damaged.zip"
    (album / "gone.png").symlink_to(tmp_path / "nowhere.png")
    _album(album / "folder.png", range(3, 4))
    with zipfile.ZipFile(packed, "w") as archive:
        archive.mkdir("album.png")
        for number in (4, 5):
            archive.writestr(f"album.png/{number}.png", png(synthetic_photo(number)))
    whole = packed.read_bytes()
    first = whole.index(b"IDAT")
    packed.write_bytes(whole[:first] + bytes(40) + whole[first + 40 :])
    report = build_cache([album, packed], tmp_path / "cache", short_side=64)
    assert report == CacheReport(kept=5, too_small=0, grey=0, toned=0, unreadable=2)
    check_cache(tmp_path / "cache", sources=[album, packed], short_side=64, enough=None)


def test_a_zip_file_without_its_table_of_contents_is_named(tmp_path: Path) -> None:
    packed = _zipped(tmp_path / "photos.zip", range(2))
    whole = packed.read_bytes()
    packed.write_bytes(whole.replace(b"PK\x01\x02", b"PK\x01\x00"))
    with pytest.raises(PhotosError, match=r"photos\.zip: a damaged zip file"):
        build_cache([packed], tmp_path / "cache", short_side=64)
    assert not (tmp_path / "cache").exists()


def test_what_is_not_accepted_leaves_nothing(photo_zip: Path, tmp_path: Path) -> None:
    def refuse(report: CacheReport) -> None:
        raise PhotosError(f"{report.kept} are too few")

    with pytest.raises(PhotosError, match="12 are too few"):
        build_cache([photo_zip], tmp_path / "cache", short_side=64, accept=refuse)
    assert not (tmp_path / "cache").exists()


def test_a_check_on_a_few_decodes_no_more_than_it_needs_and_is_never_taken_for_all(
    photo_zip: Path, tmp_path: Path
) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "0.png").write_bytes(png(np.full((80, 80, 3), 90, np.uint8)))
    (tmp_path / "album" / "1.png").write_bytes(b"broken")
    told: list[tuple[int, int]] = []
    few = tmp_path / "few"
    report = build_cache(
        [tmp_path / "album", photo_zip], few, short_side=64, enough=8, watch=lambda *far: told.append(far)
    )
    assert report == CacheReport(kept=8, too_small=0, grey=1, toned=0, unreadable=1)
    assert told[-1] == (8, 8)
    check_cache(few, sources=[tmp_path / "album", photo_zip], short_side=None, enough=8)
    for enough in (None, 9):
        with pytest.raises(PhotosError, match=f"holds 8 of the photographs, .* not {enough or 'all'}"):
            check_cache(few, sources=None, short_side=None, enough=enough)


def test_whoever_watches_is_told_how_many_pictures_there_are(photo_zip: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    build_cache([photo_zip, photo_zip], tmp_path / "all", short_side=64, watch=lambda *far: told.append(far))
    build_cache([photo_zip], tmp_path / "five", short_side=64, limit=5, watch=lambda *far: told.append(far))
    assert told == [(30, 30), (5, 5)]
