"""Other people's networks, as their authors export them: recognised, run as they are meant to be, or refused by name.

The architectures are the published ones at a fraction of their width, with random weights, not the real ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch

from engines.adapters.registry import CONTRACTS, adapter_for
from engines.errors import EngineError, WeightsError
from engines.library import load_weights
from engines.network import Network
from engines.networks import introduction, open_network
from engines.parity import scenes
from engines.tensors import F32
from tests.engines.networks.ddcolor import DDColor
from tests.engines.networks.deoldify import DeOldify
from tests.engines.networks.exporting import export, randomised
from tests.engines.networks.zhang import Eccv16, Siggraph17

pytestmark = pytest.mark.slow

RUNTIMES = ["onnxruntime", "openvino"]


def lightness(count: int, height: int, width: int) -> F32:
    return scenes(np.random.default_rng(5), count, height, width)


def grey_rgb(grey: F32) -> F32:
    """Return L* (N, 1, H, W) as grey sRGB (N, 3, H, W), 0..1, by OpenCV."""
    lab = [cv2.merge([one[0], np.zeros_like(one[0]), np.zeros_like(one[0])]) for one in grey]
    return np.stack([cv2.cvtColor(one, cv2.COLOR_LAB2RGB) for one in lab]).transpose(0, 3, 1, 2)


def asked(network: Any, *inputs: F32) -> F32:
    with torch.inference_mode():
        return network(*(torch.from_numpy(np.ascontiguousarray(one)) for one in inputs)).numpy()


def quartered(ab: F32) -> F32:
    return np.stack([[cv2.resize(one, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA) for one in p] for p in ab])


def by_ddcolor(network: Any, grey: F32) -> F32:
    """As its own program does: ab, with the L* that there was."""
    return quartered(asked(network, grey_rgb(grey)))


def by_deoldify(network: Any, grey: F32) -> F32:
    """As its own program does: U and V of the answer with the luma that there was."""
    shown = grey_rgb(grey)
    answers = asked(network, shown * 255) / 255
    found = []
    for picture, answer in zip(shown.transpose(0, 2, 3, 1), answers.transpose(0, 2, 3, 1), strict=True):
        yuv = cv2.cvtColor(np.ascontiguousarray(answer), cv2.COLOR_RGB2YUV)
        yuv[..., 0] = picture[..., 0]
        rgb = cv2.cvtColor(yuv, cv2.COLOR_YUV2RGB).clip(0, 1)
        found.append(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[..., 1:].transpose(2, 0, 1))
    return quartered(np.stack(found))


def by_eccv16(network: Any, grey: F32) -> F32:
    return quartered(asked(network, grey if network.centre else grey - 50))


def by_siggraph17(network: Any, grey: F32) -> F32:
    count, _, height, width = grey.shape
    return quartered(
        asked(
            network,
            grey if network.centre else grey - 50,
            np.zeros((count, 2, height, width), np.float32),
            np.zeros((count, 1, height, width), np.float32),
        )
    )


@dataclass(frozen=True)
class Case:
    contract: str
    build: Callable[[], Any]
    by_hand: Callable[[Any, F32], F32]
    channels: tuple[int, ...]
    exporting: dict[str, Any] = field(default_factory=dict)
    shapes: tuple[tuple[int, int, int], ...] = ((1, 64, 64), (1, 96, 96))


SMALL_DDCOLOR = {"narrow": 8, "depths": (1, 1, 1, 1), "queries": 16}
SQUARE, ANY = ((1, 64, 64), (1, 96, 96)), ((1, 64, 96), (1, 104, 48))
HINTED = {"inputs": ("l", "ab", "mask")}
CASES = {
    "ddcolor, any size": Case("ddcolor", lambda: DDColor(**SMALL_DDCOLOR), by_ddcolor, (3,)),
    "ddcolor, 128 alone": Case(
        "ddcolor", lambda: DDColor(**SMALL_DDCOLOR), by_ddcolor, (3,), {"side": 128, "dynamic": False}, ((1, 128, 128),)
    ),
    "deoldify": Case(
        "deoldify", lambda: DeOldify(narrow=8, depths=(1, 1, 1, 1)), by_deoldify, (3,), {"outputs": ("out",)}, SQUARE
    ),
    "eccv16": Case("eccv16", lambda: Eccv16(narrow=16), by_eccv16, (1,), {"batch": True}, ((4, 64, 96), (1, 104, 48))),
    "eccv16, L - 50": Case("eccv16", lambda: Eccv16(narrow=16, centre=0), by_eccv16, (1,), {}, ANY),
    "siggraph17": Case("siggraph17", lambda: Siggraph17(narrow=16), by_siggraph17, (1, 2, 1), HINTED, ANY),
    "siggraph17, L": Case(
        "siggraph17", lambda: Siggraph17(narrow=16, centre=50), by_siggraph17, (1, 2, 1), HINTED, ANY
    ),
}


@dataclass(frozen=True)
class Made:
    case: Case
    network: Any
    path: Path


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    done: dict[str, Made] = {}

    def make(name: str) -> Made:
        if name not in done:
            case = CASES[name]
            network = randomised(case.build())
            path = tmp_path_factory.mktemp("network") / "theirs.onnx"
            done[name] = Made(case, network, export(network, path, channels=case.channels, **case.exporting))
        return done[name]

    return make


@pytest.mark.few(4)
@pytest.mark.parametrize("name", CASES)
def test_a_network_is_recognised_by_its_graph(make: Callable[[str], Made], name: str) -> None:
    made = make(name)
    adapter = adapter_for(weights := load_weights(str(made.path)))
    assert adapter.contract == made.case.contract
    assert adapter.fingerprint(weights) != weights.sha256
    assert adapter.takes_hints == (made.case.contract == "siggraph17")


@pytest.mark.few(4)
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", CASES)
def test_a_network_colours_as_its_authors_program_would(
    make: Callable[[str], Made], name: str, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(runtime)
    made = make(name)
    network, _ = open_network(runtime, str(made.path))
    tolerance = 0.02 if network.spec.precision == "f32" else 1.0
    for shape in made.case.shapes:
        grey = lightness(*shape)
        answer, expected = network.predict(grey).ab, made.case.by_hand(made.network, grey)
        assert answer.shape == expected.shape == (shape[0], 2, shape[1] // 4, shape[2] // 4)
        assert np.ptp(expected) > 0.3, "one colour for all: the comparison would prove nothing"
        assert np.abs(answer - expected).mean() < tolerance
    network.close()


def test_its_sizes_are_its_own(make: Callable[[str], Made]) -> None:
    fixed, free, wide = (
        adapter_for(load_weights(str(make(name).path))).graph.size
        for name in ("ddcolor, 128 alone", "ddcolor, any size", "eccv16")
    )
    assert fixed.shape(fixed.photo, width=4, height=3) == fixed.shape(fixed.film, width=1, height=9) == (128, 128)
    assert free.shape(free.photo, width=4, height=3) == (512, 512)
    assert free.shape(free.film, width=4, height=3) == (256, 256)
    assert wide.shape(wide.photo, width=4, height=3) == (256, 344)


def test_what_it_is_goes_into_its_description(make: Callable[[str], Made]) -> None:
    made = make("ddcolor, any size")
    network, _ = open_network("onnxruntime", str(made.path))
    assert (network.spec.model, network.spec.contract, network.spec.licence) == ("theirs", "ddcolor", "not stated")
    assert network.spec.weights_sha256 == load_weights(str(made.path)).sha256
    assert network.spec.max_batch == 1
    said = introduction(network)
    for part in ("theirs: DDColor", "512 x 512", "one at a time", " s a photograph here", "not stated"):
        assert part in said
    network.close()


def test_our_own_networks_need_no_introduction(tiny: Path) -> None:
    network, _ = open_network("onnxruntime", str(tiny))
    assert introduction(network) == ""
    network.close()


@pytest.mark.parametrize(("name", "runtime"), [("deoldify", "openvino"), ("ddcolor, any size", "onnxruntime")])
def test_a_float16_file_is_taken_too(make: Callable[[str], Made], tmp_path: Path, name: str, runtime: str) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip(runtime)
    from onnxruntime.transformers.float16 import convert_float_to_float16

    made = make(name)
    path = tmp_path / "half.onnx"
    path.write_bytes(convert_float_to_float16(onnx.load(made.path), keep_io_types=False).SerializeToString())
    network, _ = open_network(runtime, str(path))
    grey = lightness(1, 64, 64)
    assert np.abs(network.predict(grey).ab - made.case.by_hand(made.network, grey)).mean() < 1
    network.close()


@pytest.mark.parametrize("name", ["siggraph17", "siggraph17, L"])
def test_hints_reach_the_network(make: Callable[[str], Made], name: str) -> None:
    made = make(name)
    network, _ = open_network("onnxruntime", str(made.path))
    grey = lightness(1, 64, 96)
    hints = np.zeros((1, 3, 16, 24), np.float32)
    hints[0, :, 4:6, 8:10] = np.array([60, -20, 1], np.float32)[:, None, None]
    whole = hints.repeat(4, axis=2).repeat(4, axis=3)
    l_given = grey if made.network.centre else grey - 50
    expected = quartered(asked(made.network, l_given, whole[:, :2], whole[:, 2:]))
    answer = network.predict(grey, hints).ab
    np.testing.assert_allclose(answer, expected, atol=0.01)
    assert np.abs(answer - network.predict(grey).ab).max() > 0.1
    network.close()


@pytest.mark.parametrize("name", ["ddcolor, any size", "deoldify", "eccv16", "siggraph17"])
def test_what_tensorrt_gets_of_a_network_is_sound(make: Callable[[str], Made], name: str) -> None:
    onnx = pytest.importorskip("onnx")
    from engines.half import half_graph

    made = make(name)
    weights = load_weights(str(made.path))
    content = half_graph(weights.read())
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    (made.path.parent / "for-tensorrt.onnx").write_bytes(content)
    network, _ = open_network("onnxruntime", str(made.path.parent / "for-tensorrt.onnx"))
    grey = lightness(1, 64, 64)
    expected = made.case.by_hand(made.network, grey)
    assert np.abs(network.predict(grey).ab - expected).mean() < 0.02 * np.ptp(expected)
    network.close()


WRONG_HINTS = {
    "another size": np.zeros((1, 3, 16, 16), np.float32),
    "two channels": np.zeros((1, 2, 16, 24), np.float32),
    "doubles": np.zeros((1, 3, 16, 24)),
    "beyond colour": np.full((1, 3, 16, 24), 200, np.float32),
}


@pytest.mark.parametrize("hints", WRONG_HINTS.values(), ids=WRONG_HINTS)
def test_wrong_hints_are_refused(make: Callable[[str], Made], hints: Any) -> None:
    network, _ = open_network("onnxruntime", str(make("siggraph17").path))
    with pytest.raises(EngineError):
        network.predict(lightness(1, 64, 96), hints)
    network.close()


def test_hints_for_a_network_that_takes_none_are_an_error(make: Callable[[str], Made]) -> None:
    network: Network = open_network("onnxruntime", str(make("eccv16").path))[0]
    with pytest.raises(EngineError, match="takes no hints"):
        network.predict(lightness(1, 64, 96), np.zeros((1, 3, 16, 24), np.float32))
    network.close()


@pytest.mark.parametrize(
    ("exporting", "said"),
    [
        ({"side": 72, "dynamic": False}, "72 x 72 pixels alone"),
        ({"side": 48, "dynamic": False}, "48 x 48 pixels alone"),
    ],
)
def test_a_size_that_cannot_be_served_is_refused(tmp_path: Path, exporting: dict[str, Any], said: str) -> None:
    network = randomised(torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3, padding=1)))
    path = export(network, tmp_path / "odd.onnx", channels=(3,), **exporting)
    with pytest.raises(WeightsError, match=said):
        adapter_for(load_weights(str(path)))


class _WithClass(torch.nn.Module):
    """What BigColor takes: grey, a class as a vector, a random vector."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 1)

    def forward(self, grey: Any, kind: Any, noise: Any) -> Any:
        return self.conv(grey) + (kind.sum() + noise.sum())


class _WithInstances(torch.nn.Module):
    """What InstColorization takes: a picture with hints, and instances with theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 2, 1)

    def forward(self, *parts: Any) -> Any:
        return self.conv(torch.cat(parts, dim=1))


def test_bigcolor_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "some.onnx"
    vectors = (torch.rand(1, 1, 32, 32), torch.rand(1, 1000), torch.rand(1, 119))
    names = ["x", "c", "z"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(_WithClass().eval(), vectors, str(path), input_names=names, opset_version=17, dynamo=False)
    with pytest.raises(WeightsError, match=r"BigColor.*classifier.* missing") as caught:
        adapter_for(load_weights(str(path)))
    assert "ddcolor" in caught.value.advice


def test_instcolorization_is_refused_by_name(tmp_path: Path) -> None:
    names = ("l", "ab", "mask", "inst_l", "inst_ab", "inst_mask")
    path = export(
        _WithInstances().eval(), tmp_path / "fusion.onnx", channels=(1, 2, 1, 1, 2, 1), inputs=names, dynamic=False
    )
    with pytest.raises(WeightsError, match=r"InstColorization.*object detector.* missing"):
        adapter_for(load_weights(str(path)))


@pytest.mark.parametrize("stem", ["BigColor-256", "instcolorization_full"])
def test_known_networks_are_refused_by_their_files_names_too(tmp_path: Path, stem: str) -> None:
    network = randomised(torch.nn.Conv2d(3, 2, 1))
    path = export(network, tmp_path / f"{stem}.onnx", channels=(3,))
    with pytest.raises(WeightsError, match=r"BigColor|InstColorization"):
        adapter_for(load_weights(str(path)))


def test_an_unknown_network_is_refused_with_what_it_takes(tmp_path: Path) -> None:
    network = randomised(torch.nn.Sequential(torch.nn.Conv2d(5, 7, 3, padding=1)))
    path = export(network, tmp_path / "other.onnx", channels=(5,), inputs=("bands",), outputs=("labels",))
    with pytest.raises(WeightsError, match=r"other\.onnx.*bands \(1, 5, any, any\).*labels \(1, 7") as caught:
        adapter_for(load_weights(str(path)))
    for contract in CONTRACTS:
        assert contract.name in caught.value.advice


def test_a_size_that_changes_inside_is_found_when_opening(tmp_path: Path) -> None:
    class Doubling(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 12, 1)

        def forward(self, x: Any) -> Any:
            return torch.pixel_shuffle(self.conv(x), 2)

    path = export(randomised(Doubling()), tmp_path / "larger.onnx", channels=(3,))
    with pytest.raises(EngineError, match="shape"):
        open_network("onnxruntime", str(path))


FIXED, WHOLE = {"side": 256, "dynamic": False}, ((1, 256, 256),)
# Millions of parameters of the published networks, at their full width, and how far the mean answer may be from the
# authors' program in float32, in parts of the range of its answers. DeOldify's is a picture, which both turn into ab.
REAL = {
    "ddcolor": (55.0, 1e-5, Case("ddcolor", DDColor, by_ddcolor, (3,), FIXED, WHOLE)),
    "deoldify": (63.6, 2e-4, Case("deoldify", DeOldify, by_deoldify, (3,), {"outputs": ("out",), **FIXED}, WHOLE)),
    "eccv16": (32.2, 1e-5, Case("eccv16", Eccv16, by_eccv16, (1,), FIXED, WHOLE)),
    "siggraph17": (34.1, 1e-5, Case("siggraph17", Siggraph17, by_siggraph17, (1, 2, 1), {**HINTED, **FIXED}, WHOLE)),
}


@pytest.mark.nightly
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", REAL)
def test_a_network_of_its_real_size_colours_as_its_authors_program_would(
    tmp_path: Path, name: str, runtime: str
) -> None:
    """The figures of docs/networks.md are of this comparison."""
    pytest.importorskip(runtime)
    millions, tolerance, case = REAL[name]
    network = randomised(case.build())
    assert abs(sum(one.numel() for one in network.parameters()) / 1e6 - millions) < 0.06
    opened, _ = open_network(
        runtime, str(export(network, tmp_path / "theirs.onnx", channels=case.channels, **case.exporting))
    )
    grey = lightness(*case.shapes[0])
    answer, expected = opened.predict(grey).ab, case.by_hand(network, grey)
    spread = float(np.ptp(expected))
    difference = np.abs(answer - expected) / spread
    assert difference.mean() < (tolerance if opened.spec.precision == "f32" else 0.03)
    opened.close()
