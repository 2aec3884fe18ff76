from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline.archive.provenance import write_sidecar
from pipeline.corrections import Correction
from pipeline.errors import InputError, OutputError
from pipeline.options import Hint, Options, Tone
from pipeline.results import Doubt, FilmResult, Note, NoteKind, PhotoResult, SourceTone, Treatment
from tests.pipeline.archive.outcomes import CALM, FINGERPRINT, WEIGHTS, film, photo, sha256, shot

SCHEMA = Path(__file__).parents[3] / "docs" / "provenance.schema.json"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def sidecar(result: PhotoResult | FilmResult, options: Options | None = None, **others: Any) -> dict[str, Any]:
    """Write the sidecar and read it back, checked against the schema."""
    path = write_sidecar(
        result,
        source_sha256=sha256(result.source),
        result_sha256=sha256(result.output),
        options=options or Options(),
        **others,
    )
    document: dict[str, Any] = json.loads(path.read_text(encoding="ascii"))
    Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(document)
    return document


def test_the_sidecar_lies_beside_the_result_and_names_both_files(tmp_path: Path) -> None:
    result = photo(tmp_path / "in" / "a" / "scan.tif", tmp_path / "out" / "a" / "scan.tif")
    found = sidecar(result, root=tmp_path / "in")
    assert (tmp_path / "out" / "a" / "scan.tif.autochrome.json").exists()
    assert found["source"] == {
        "name": "a/scan.tif",
        "size": result.source.stat().st_size,
        "sha256": sha256(result.source),
    }
    assert (found["result"]["name"], found["result"]["sha256"]) == ("scan.tif", sha256(result.output))


def test_no_path_of_the_machine_gets_into_a_sidecar(tmp_path: Path) -> None:
    result = photo(tmp_path / "in" / "scan.tif", tmp_path / "out" / "scan.tif")
    assert str(tmp_path) not in json.dumps(sidecar(result))


def test_a_photograph_says_what_was_made_with_what(tmp_path: Path) -> None:
    notes = (Note(NoteKind.DROPPED, "a thumbnail"), Note(NoteKind.ASSUMED, "sRGB"), Note(NoteKind.DROPPED, "padding"))
    result = photo(tmp_path / "in.png", tmp_path / "out.png", notes=notes)
    found = sidecar(result, Options(tone=Tone.KEEP))
    assert found["digital_source_type"] == SOURCE_TYPE
    assert found["model"] == {
        "name": "fast",
        "weights_sha256": WEIGHTS,
        "fingerprint": FINGERPRINT,
        "network": "DDColor",
        "contract": "ddcolor",
        "licence": "Apache-2.0",
    }
    assert (found["engine"], found["device"]) == ("openvino", "Intel Xeon")
    assert found["options"] == {
        "engine": "auto",
        "device": "auto",
        "model": "fast",
        "tone": "keep",
        "treat_as": "auto",
        "saturation": 1.0,
        "hints": [],
    }
    assert found["photo"] == {"width": 3000, "height": 2000, "bits": 16}
    assert (found["tones"], found["treatment"]) == (["monochrome"], "coloured")
    assert found["notes"] == {
        "assumed": ["sRGB"],
        "converted": [],
        "dropped": ["a thumbnail", "padding"],
        "fallback": [],
        "concealed": [],
    }
    assert found["measures"]["colourfulness"] == CALM.colourfulness
    assert found["verification"] == {
        "checks": {"picture": "decoded whole"},
        "not_checked": {},
        "luma": {
            "proof": "exact",
            "frames": 1,
            "bits": 16,
            "psnr_db": None,
            "worst_psnr_db": None,
            "max_error": 0,
            "unit": "pages",
        },
    }
    assert found["doubts"] == []


def test_what_a_person_set_right_is_told_apart_from_what_the_run_was_asked_for(tmp_path: Path) -> None:
    result = photo(tmp_path / "in.png", tmp_path / "out.png")
    correction = Correction(hints=(Hint(x=0.5, y=0.25, color="#3A5FCD"),), saturation=0.5, accepted=True)
    found = sidecar(result, correction.applied(Options(tone=Tone.KEEP)), correction=correction)
    hint = {"x": 0.5, "y": 0.25, "color": "#3A5FCD", "reach": 0.01, "time": None, "page": 1, "unit": "share"}
    nothing = {"references": [], "treat_as": None, "tone": None}
    assert found["correction"] == {"hints": [hint], "saturation": 0.5, **nothing}
    assert (found["options"]["hints"], found["options"]["tone"]) == ([hint], "keep")
    for none in (Correction(), Correction(accepted=True)):
        assert sidecar(result, correction=none)["correction"] is None


def test_a_photograph_says_what_is_in_doubt_and_what_decides_otherwise_without_paths(tmp_path: Path) -> None:
    doubt = Doubt(reason="its own colours may have been replaced", instead=SourceTone.COLOUR, command=f"{tmp_path} ...")
    found = sidecar(photo(tmp_path / "in.png", tmp_path / "out.png", doubts=(doubt,)))
    assert found["doubts"] == [{"reason": doubt.reason, "instead": "colour", "option": "--treat-as colour"}]
    assert str(tmp_path) not in json.dumps(found)


def test_a_film_says_what_was_verified_and_what_became_of_each_shot(tmp_path: Path) -> None:
    found = sidecar(film(tmp_path / "in.mov", tmp_path / "out.mov"), Options(frame_rate=Fraction(24000, 1001)))
    assert found["verification"]["checks"]["audio 1"] == "the same packets"
    assert found["verification"]["not_checked"] == {"ffmpeg's opinion": "not asked for"}
    assert found["verification"]["luma"]["worst_psnr_db"] == 47.0
    assert [shot["treatment"] for shot in found["shots"]] == ["coloured", "kept as it is"]
    assert found["options"]["frame_rate"] == "24000/1001"
    assert not {"overwrite", "threads", "verify"} & found["options"].keys()


@pytest.mark.parametrize("treatment", [Treatment.KEPT, Treatment.TINT_KEPT, Treatment.GREY])
def test_a_picture_that_kept_its_own_chroma_is_not_declared_as_made(tmp_path: Path, treatment: Treatment) -> None:
    result = photo(tmp_path / "in.png", tmp_path / "out.png", treatment=treatment)
    assert sidecar(result)["digital_source_type"] is None


def test_a_film_is_declared_as_made_if_any_shot_was_coloured(tmp_path: Path) -> None:
    mixed = film(tmp_path / "in.mov", tmp_path / "out.mov")
    assert sidecar(mixed)["digital_source_type"] == SOURCE_TYPE
    kept = shot(0, 144, SourceTone.COLOUR, Treatment.KEPT)
    assert sidecar(dataclasses.replace(mixed, shots=(kept,)))["digital_source_type"] is None
    assert sidecar(dataclasses.replace(mixed, shots=()))["digital_source_type"] == SOURCE_TYPE


def test_sidecars_of_one_work_done_twice_differ_in_time_only(tmp_path: Path) -> None:
    quick = film(tmp_path / "in.mov", tmp_path / "out.mov", seconds=1)
    slow = dataclasses.replace(quick, seconds=99.0, verification=dataclasses.replace(quick.verification, seconds=9.0))
    first, second = (sidecar(result, made=NOON) for result in (quick, slow))
    assert first == second
    later = sidecar(slow, made=NOON + timedelta(hours=1))
    assert {name for name in later if later[name] != first[name]} == {"made"}
    assert later["made"] == "2026-11-21T13:00:00Z"


def test_a_sidecar_takes_the_place_of_the_older_one(tmp_path: Path) -> None:
    result = photo(tmp_path / "in.png", tmp_path / "out.png")
    sidecar(result)
    assert sidecar(dataclasses.replace(result, engine="torch"))["engine"] == "torch"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "out.png", "out.png.autochrome.json"]


def test_names_that_are_no_text_survive(tmp_path: Path) -> None:
    result = photo(tmp_path / "caf\udce9.png", tmp_path / "out.png")
    assert sidecar(result)["source"]["name"] == "caf\udce9.png"


def test_a_source_that_vanished_is_named(tmp_path: Path) -> None:
    result = photo(tmp_path / "in.png", tmp_path / "out.png")
    result.source.unlink()
    with pytest.raises(InputError, match=r"in\.png"):
        write_sidecar(result, source_sha256=WEIGHTS, result_sha256=WEIGHTS, options=Options())


def test_a_disk_that_refuses_leaves_nothing_behind(tmp_path: Path) -> None:
    result = photo(tmp_path / "in.png", tmp_path / "out" / "out.png")
    (tmp_path / "out" / "out.png.autochrome.json").mkdir()
    before = sorted(path.name for path in (tmp_path / "out").iterdir())
    with pytest.raises(OutputError, match=r"out\.png\.autochrome\.json"):
        write_sidecar(result, source_sha256=WEIGHTS, result_sha256=WEIGHTS, options=Options())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == before


def test_every_field_is_documented() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    described = SCHEMA.with_name("provenance.md").read_text(encoding="utf-8")
    assert not [name for name in schema["properties"] if f"`{name}`" not in described]
