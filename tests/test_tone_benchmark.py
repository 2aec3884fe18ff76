"""The benchmark of tone classification measures photographs in colour, and prints made from them."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.tone import main
from tests.training.conftest import png, synthetic_photo
from training.tone.gather import toned_photographs


def test_rates_are_printed_and_what_was_judged_wrongly_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for number in range(3):
            archive.writestr(f"{number}.png", png(synthetic_photo(number, 100, 140)))
        archive.writestr("grey.png", png(np.repeat(synthetic_photo(3, 100, 140)[..., :1], 3, axis=2)))
        archive.writestr(f"some/{min(toned_photographs())}", png(synthetic_photo(4, 100, 140)))
    wrong = tmp_path / "wrong"
    monkeypatch.setattr(sys, "argv", ["tone", str(tmp_path / "photos.zip"), "--all", "--wrong", str(wrong)])
    main()
    assert "colour photographs repainted: 1 of 4 (25.00 %)" in capsys.readouterr().out
    assert [path.name.split()[1] for path in (wrong / "colour photographs repainted").iterdir()] == ["grey.png"]
