"""Other people's networks through the whole program: a photograph, a film, a result that says whose colours they are.

Published architectures at a fraction of their width, with random weights: real ones were not at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="torch is not installed")

from engines.errors import EngineError  # noqa: E402
from engines.networks import open_network  # noqa: E402
from pipeline.color.colorizer import Colorizer, open_colorizer  # noqa: E402
from pipeline.color.model_input import ModelInput  # noqa: E402
from pipeline.film.job import colorize_video  # noqa: E402
from pipeline.options import Codec, Options, Quality  # noqa: E402
from pipeline.photo.one import colorize_photo  # noqa: E402
from pipeline.progress import Silent  # noqa: E402
from tests.engines.networks.ddcolor import DDColor  # noqa: E402
from tests.engines.networks.exporting import export, randomised  # noqa: E402
from tests.engines.networks.zhang import Siggraph17  # noqa: E402
from tests.films import luma_planes, make_film  # noqa: E402
from tests.photos import save, scene  # noqa: E402
from tests.pipeline.photo.test_job import Counting  # noqa: E402

pytestmark = pytest.mark.slow


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def ddcolor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = randomised(DDColor(narrow=8, depths=(1, 1, 1, 1), queries=16))
    return export(network, tmp_path_factory.mktemp("network") / "theirs.onnx", channels=(3,))


@pytest.fixture(scope="module")
def siggraph17(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = randomised(Siggraph17(narrow=16))
    path = tmp_path_factory.mktemp("network") / "hinted.onnx"
    return export(network, path, channels=(1, 2, 1), inputs=("l", "ab", "mask"))


@pytest.mark.nightly
def test_a_photograph_has_its_luma_and_says_whose_colours_it_has(ddcolor: Path, tmp_path: Path) -> None:
    source, said = save(tmp_path / "a.png", scene()), Said()
    options = Options(engine="onnxruntime", model=str(ddcolor))
    result = colorize_photo(source, tmp_path / "b.png", options, progress=said)
    made = np.asarray(Image.open(result.output))
    assert np.abs(made @ [0.299, 0.587, 0.114] - scene()).max() <= 0.51
    assert np.ptp(made.astype(int), axis=2).max() > 0
    assert (result.model, result.origin.network, result.origin.contract) == ("theirs", "DDColor", "ddcolor")
    assert result.origin.licence == "not stated"
    (introduced,) = (line for line in said.lines if line.startswith("theirs: "))
    for part in ("DDColor", "512 x 512 pixels", "256 x 256 for films", "s a photograph here", "not stated"):
        assert part in introduced


@pytest.mark.nightly
@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("luma", "least", "most"),
    [
        pytest.param(lambda _number: scene(width=96, height=64), 4, 8, id="still"),
        pytest.param(
            lambda number: np.random.default_rng(number).integers(20, 235, (64, 96)).astype(np.uint8),
            24,
            24,
            id="noise",
        ),
    ],
)
def test_a_film_asks_for_as_many_key_frames_as_its_motion_needs(
    luma: Callable[[int], np.ndarray], least: int, most: int, ddcolor: Path, tmp_path: Path
) -> None:
    film = make_film(tmp_path / "a.mkv", times=range(24), luma=luma)
    network = Counting(open_network("onnxruntime", str(ddcolor))[0])
    colorizer = Colorizer(network, open_network("onnxruntime", str(ddcolor))[1])
    options = Options(codec=Codec.FFV1, quality=Quality.MASTER)
    result = colorize_video(film, tmp_path / "b.mkv", options, colorizer=colorizer)
    assert all(map(np.array_equal, luma_planes(film), luma_planes(result.output)))
    assert (result.origin.network, result.frames) == ("DDColor", 24)
    assert least <= sum(count for count, *_ in network.batches) <= most
    assert {tuple(shape) for _, *shape in network.batches} == {(1, 256, 256)}
    network.close()


def test_hints_are_given_to_a_network_that_takes_them(siggraph17: Path, colorizer: Colorizer) -> None:
    pictures = [ModelInput(np.full((64, 96), 0.5, np.float32)) for _ in range(2)]
    hints = [np.zeros((3, 16, 24), np.float32) for _ in pictures]
    hints[1][:, 6:10, 10:14] = np.array([40, -30, 1], np.float32)[:, None, None]
    with open_colorizer(Options(engine="onnxruntime", model=str(siggraph17))) as hinted:
        assert hinted.spec.takes_hints
        plain, first, second = *hinted.predict(pictures[:1]), *hinted.predict(pictures, hints)
    np.testing.assert_allclose(first, plain, atol=1e-4)
    assert np.abs(second - plain).max() > 0.01
    with pytest.raises(EngineError, match="takes no hints"):
        colorizer.predict(pictures, hints)
