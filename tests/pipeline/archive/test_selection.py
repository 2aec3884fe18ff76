from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from pipeline.archive.run_options import RunOptions, Shard
from pipeline.archive.walk import Selection, shard_of
from pipeline.errors import UsageError
from tests.commands import PATIENCE, ROOT

GOLDEN = [11, 6, 1]


def takes(path: str, modified: float = 0.0, **common_options: object) -> bool:
    selection = Selection.of(RunOptions(**common_options))  # type: ignore[arg-type]
    return selection.takes_shard(path) and selection.takes_path(path) and selection.takes_time(modified)


PATTERNS = {
    # pattern: (paths it matches, paths it does not match)
    "*.jpg": (["a.jpg", "deep/er/a.jpg", ".jpg"], ["a.JPG", "a.jpg.tif", "a.png"]),
    "a?.tif": (["ab.tif", "x/ab.tif"], ["a.tif", "abc.tif", "a/.tif"]),
    "[ab]*.png": (["a1.png", "x/b.png"], ["c.png"]),
    "[!ab]*.png": (["c.png", "x/c.png"], ["a.png", "x/b1.png"]),
    "[]]x": (["]x"], ["x"]),
    "[a-c]x": (["bx"], ["dx", "-x"]),
    "[^a]x": (["^x", "ax"], ["bx"]),
    "a[b": (["a[b"], ["ab"]),
    "thumbs": (["thumbs", "x/thumbs/a.jpg", "thumbs/deep/a.jpg"], ["thumbs.jpg", "mythumbs/a.jpg"]),
    "thumbs/": (["x/thumbs/a.jpg"], ["thumbsy/a.jpg"]),
    "people/*.tif": (["people/a.tif"], ["a.tif", "x/people/a.tif", "people/deep/a.tif"]),
    "people/old": (["people/old/a.tif", "people/old"], ["people/older/a.tif", "x/people/old/a.tif"]),
    "/*.tif": (["a.tif"], ["x/a.tif"]),
    "/people": (["people/a.tif"], ["x/people/a.tif"]),
    "./people/a.tif": (["people/a.tif"], ["x/people/a.tif"]),
    "**/old/*.tif": (["old/a.tif", "x/y/old/a.tif"], ["a.tif", "old/x/a.tif"]),
    "people/**": (["people/a.tif", "people/x/y/a.tif"], ["people", "peoples/a.tif"]),
    "people/**/19*.tif": (["people/1920.tif", "people/x/y/1931.tif"], ["people/x/2001.tif", "1920.tif"]),
    "a**b": (["ab", "axxb"], ["a/b"]),
    "**": (["a", "x/y/a.tif"], []),
    "line\nbreak*": (["x/line\nbreak.tif"], ["line"]),
    "caf\u00e9.jpg": (["cafe\u0301.jpg", "x/caf\u00e9.jpg"], ["cafe.jpg"]),
}


@pytest.mark.few(11)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_includes_what_it_matches_and_excludes_the_same(pattern: str) -> None:
    matching, others = PATTERNS[pattern]
    for path in matching:
        assert takes(path, include=(pattern,)), path
        assert not takes(path, exclude=(pattern,)), path
    for path in others:
        assert not takes(path, include=(pattern,)), path
        assert takes(path, exclude=(pattern,)), path


def test_exclude_wins_over_include_and_one_of_several_patterns_suffices() -> None:
    common_options = {"include": ("*.jpg", "*.tif"), "exclude": ("bad*", "x/y")}
    assert takes("a.tif", **common_options)
    assert takes("x/a.jpg", **common_options)
    assert not takes("bad.jpg", **common_options)
    assert not takes("x/y/a.jpg", **common_options)
    assert not takes("a.png", **common_options)


@pytest.mark.parametrize("pattern", ["", "/", "./"])
def test_an_empty_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="empty pattern"):
        takes("a", include=(pattern,))


def test_since_takes_what_changed_then_or_later() -> None:
    moment = datetime(2026, 1, 31, 6, tzinfo=UTC)
    assert takes("a", moment.timestamp(), since=moment)
    assert takes("a", moment.timestamp() + 1, since=moment)
    assert not takes("a", moment.timestamp() - 0.001, since=moment)


@pytest.mark.slow
def test_shards_share_out_every_path_once_and_about_evenly() -> None:
    paths = [f"box {number % 7}/scan-{number}.tif" for number in range(8000)]
    shards = [Selection.of(RunOptions(shard=Shard(index=index, count=16))) for index in range(1, 17)]
    owners = [[index for index, shard in enumerate(shards, start=1) if shard.takes_shard(path)] for path in paths]
    assert {len(one) for one in owners} == {1}
    sizes = [owners.count([index]) for index in range(1, 17)]
    assert min(sizes) > 400
    assert max(sizes) < 600


def test_the_shard_of_a_path_is_the_same_for_ever_and_in_either_unicode_form() -> None:
    assert [shard_of(path, 16) for path in ("a.jpg", "deep/b.tif", "caf\u00e9.png")] == GOLDEN
    assert shard_of("cafe\u0301.png", 16) == GOLDEN[2]
    assert 1 <= shard_of("not utf-8 \udcff", 16) <= 16


@pytest.mark.slow
def test_the_shard_of_a_path_does_not_hang_on_the_seed_of_python() -> None:
    program = "from pipeline.archive.walk import shard_of\nprint([shard_of(f'{n}.jpg', 7) for n in range(20)])"
    answers = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1
