"""Other colourisers' networks as ONNX files with random weights, which do not affect their speed."""

from __future__ import annotations

from pathlib import Path


def export_rivals(folder: Path, *, narrow: int = 1) -> list[Path]:
    """Write DDColor (tiny, 512 x 512), DeOldify (artistic) and Zhang's two in their published sizes; return the files.

    ``narrow`` divides their widths, for rehearsals. Raises `ImportError` without PyTorch.
    """
    from tests.engines.networks.ddcolor import DDColor
    from tests.engines.networks.deoldify import DeOldify
    from tests.engines.networks.exporting import export, randomised
    from tests.engines.networks.zhang import Eccv16, Siggraph17

    ddcolor, deoldify = randomised(DDColor(narrow=narrow)), randomised(DeOldify(narrow=narrow))
    eccv16, siggraph17 = randomised(Eccv16(narrow=narrow)), randomised(Siggraph17(narrow=narrow))
    hinted = ("l", "ab", "mask")
    return [
        export(ddcolor, folder / "ddcolor-512.onnx", channels=(3,), side=512, dynamic=False),
        export(ddcolor, folder / "ddcolor.onnx", channels=(3,), batch=True),
        export(deoldify, folder / "deoldify.onnx", channels=(3,), batch=True),
        export(eccv16, folder / "eccv16.onnx", channels=(1,), batch=True),
        export(siggraph17, folder / "siggraph17.onnx", channels=(1, 2, 1), inputs=hinted, batch=True),
    ]
