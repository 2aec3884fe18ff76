from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import bagit
import pytest

from pipeline.archive.bag import begin_bag, check_bag, write_bag
from pipeline.archive.context import archive_at
from pipeline.archive.ledger import open_ledger
from pipeline.archive.run_options import RunOptions, Shard
from pipeline.errors import OutputError, UsageError
from pipeline.originals import Originals
from tests.pipeline.archive.outcomes import sha256

NAMES = ["a.jpg", "album/b.tif", "album/Škoda 1925, 100 %.jpg", "album/ two  spaces.png", "#1.jpg", "*.jpg"]


def fill(output: Path, names: list[str]) -> dict[str, str]:
    entries = {}
    for name in names:
        path = output / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"result {name}", encoding="utf-8")
        path.with_name(f"{path.name}.autochrome.json").write_text("{}", encoding="utf-8")
        entries[f"data/{name}"] = sha256(path)
    return entries


def valid(output: Path) -> bool:
    logging.getLogger("bagit").setLevel(logging.CRITICAL)
    return bool(bagit.Bag(str(output)).is_valid())


def test_the_standard_validator_accepts_the_output_folder(tmp_path: Path) -> None:
    begin_bag(tmp_path, originals=Originals())
    write_bag(tmp_path, fill(tmp_path, NAMES), originals=Originals())
    assert valid(tmp_path)
    assert set(bagit.Bag(str(tmp_path)).payload_entries()) == {
        f"data/{name}{suffix}" for name in NAMES for suffix in ("", ".autochrome.json")
    }


@pytest.mark.slow
def test_the_standard_validators_command_accepts_it(tmp_path: Path) -> None:
    begin_bag(tmp_path, originals=Originals())
    write_bag(tmp_path, fill(tmp_path, NAMES), originals=Originals())
    said = subprocess.run(
        [sys.executable, "-m", "bagit", "--validate", str(tmp_path)], capture_output=True, check=False
    )
    assert said.returncode == 0, said.stderr.decode()


def test_a_bag_without_results_is_one_too(tmp_path: Path) -> None:
    begin_bag(tmp_path, originals=Originals())
    write_bag(tmp_path, {}, originals=Originals())
    assert valid(tmp_path)


def test_the_report_and_the_ledger_may_change_and_the_bag_stays_valid(tmp_path: Path) -> None:
    begin_bag(tmp_path, originals=Originals())
    write_bag(tmp_path, fill(tmp_path, NAMES), originals=Originals())
    (tmp_path / "report.html").write_text("later", encoding="utf-8")
    open_ledger(tmp_path).__exit__(None, None, None)
    assert valid(tmp_path)


def test_the_next_run_makes_it_valid_again(tmp_path: Path) -> None:
    begin_bag(tmp_path, originals=Originals())
    entries = fill(tmp_path, NAMES[:2])
    write_bag(tmp_path, entries, originals=Originals())
    entries |= fill(tmp_path, NAMES[2:])
    del entries["data/a.jpg"]
    (tmp_path / "data" / "a.jpg").unlink()
    (tmp_path / "data" / "a.jpg.autochrome.json").unlink()
    assert not valid(tmp_path)
    begin_bag(tmp_path, originals=Originals())
    write_bag(tmp_path, entries, originals=Originals())
    assert valid(tmp_path)


def test_a_result_that_changed_since_it_was_finished_is_found_by_the_validator(tmp_path: Path) -> None:
    begin_bag(tmp_path, originals=Originals())
    entries = fill(tmp_path, NAMES)
    (tmp_path / "data" / "a.jpg").write_text("RESULT a.jpg", encoding="utf-8")
    write_bag(tmp_path, entries, originals=Originals())
    assert not valid(tmp_path)


def test_a_result_that_is_gone_is_named(tmp_path: Path) -> None:
    begin_bag(tmp_path, originals=Originals())
    entries = fill(tmp_path, NAMES)
    (tmp_path / "data" / "a.jpg").unlink()
    with pytest.raises(OutputError, match=r"a\.jpg: is missing"):
        write_bag(tmp_path, entries, originals=Originals())


@pytest.mark.parametrize("name", ["two\nlines.jpg", "a%0Ab.jpg", "caf\udce9.jpg", "old\u2028mac.jpg"])
def test_names_that_no_manifest_can_hold_are_refused(tmp_path: Path, name: str) -> None:
    begin_bag(tmp_path, originals=Originals())
    (tmp_path / "data" / name).touch()
    with pytest.raises(OutputError, match="cannot hold this name"):
        write_bag(tmp_path, {}, originals=Originals())


def test_names_that_differ_in_the_encoding_of_an_accent_are_refused(tmp_path: Path) -> None:
    begin_bag(tmp_path, originals=Originals())
    for name in ("caf\u00e9.jpg", "cafe\u0301.jpg"):
        (tmp_path / "data" / name).touch()
    if len(list((tmp_path / "data").iterdir())) == 1:
        pytest.skip("this disk takes the two for one name")
    with pytest.raises(OutputError, match="confuse its name with that of"):
        write_bag(tmp_path, {}, originals=Originals())


def test_what_a_dead_run_left_half_written_is_not_vouched_for(tmp_path: Path) -> None:
    begin_bag(tmp_path, originals=Originals())
    entries = fill(tmp_path, ["a.jpg"])
    (tmp_path / "data" / ".autochrome-0123.jpg").write_text("half", encoding="utf-8")
    write_bag(tmp_path, entries, originals=Originals())
    assert ".autochrome-" not in (tmp_path / "manifest-sha256.txt").read_text(encoding="utf-8")


def test_results_of_a_bag_lie_in_data_and_others_on_top(tmp_path: Path) -> None:
    for bag, tree in ((False, tmp_path), (True, tmp_path / "data")):
        check_bag(tmp_path, bag=bag)
        assert archive_at("in", tmp_path, run_options=RunOptions(bag=bag)).tree == tree
    begin_bag(tmp_path, originals=Originals())
    check_bag(tmp_path, bag=True)


def test_a_bag_is_not_gone_on_with_as_a_plain_folder(tmp_path: Path) -> None:
    begin_bag(tmp_path, originals=Originals())
    with pytest.raises(UsageError, match="is a bag"):
        check_bag(tmp_path, bag=False)


@pytest.mark.parametrize("shard", [None, Shard(index=2, count=3)])
def test_a_plain_folder_does_not_become_a_bag(tmp_path: Path, shard: Shard | None) -> None:
    with open_ledger(tmp_path, shard=shard):
        pass
    with pytest.raises(UsageError, match="begun without --bag"):
        check_bag(tmp_path, bag=True)
