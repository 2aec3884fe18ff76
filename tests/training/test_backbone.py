"""ImageNet weights in the files that users have."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.nightly

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from engines.errors import WeightsError  # noqa: E402
from training.architectures.encoders import (  # noqa: E402
    ResNet18Encoder,
    VGG16Encoder,
    WholeResNet18Encoder,
)
from training.backbone import convert_backbone, read_backbone  # noqa: E402
from training.files import SourceError  # noqa: E402

SHAPES = [(64, 3), (64, 64), (128, 64), (128, 128), (256, 128), (256, 256), (256, 256), (512, 256), *[(512, 512)] * 5]
PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
KERAS = [
    f"block{block}_conv{n}" for block, count in ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3)) for n in range(1, count + 1)
]


def _resnet18() -> dict[str, Tensor]:
    torch.manual_seed(1)
    state = WholeResNet18Encoder().state_dict()
    return {
        **state,
        "conv1.weight": torch.rand(64, 3, 7, 7),
        "fc.weight": torch.rand(10, 512),
        "fc.bias": torch.rand(10),
    }


@pytest.fixture(scope="module")
def vgg16() -> dict[str, Tensor]:
    torch.manual_seed(2)
    state = {}
    for place, shape in zip(PLACES, SHAPES, strict=True):
        state[f"features.{place}.weight"] = 0.05 * torch.randn(*shape, 3, 3)
        state[f"features.{place}.bias"] = torch.randn(shape[0])
    return {**state, "classifier.0.weight": torch.rand(4, 4)}


@pytest.mark.parametrize("kind", ["torchvision", "timm", "training", "parallel"])
def test_resnet18_is_taken_with_its_last_stage_and_without_its_classifier(kind: str, tmp_path: Path) -> None:
    state, source = _resnet18(), tmp_path / "resnet18-f37072fd.pth"
    if kind == "timm":
        source = tmp_path / "model.safetensors"
        save_file(state, source)
    else:
        wrapped: dict[str, Any] = {"training": {"state_dict": state, "epoch": 3}}.get(kind, state)
        torch.save({f"module.{name}": one for name, one in state.items()} if kind == "parallel" else wrapped, source)
    made = convert_backbone(source, tmp_path / "out.safetensors")
    assert (made.encoder, made.lacking) == ("resnet18", ())
    assert {"fc.weight", "fc.bias"} <= set(made.ignored)
    for encoder in (ResNet18Encoder(), WholeResNet18Encoder()):
        assert encoder.load_imagenet(read_backbone(made.path)) == ()
        torch.testing.assert_close(encoder.layer3[1].conv2.weight, state["layer3.1.conv2.weight"], atol=1e-3, rtol=1e-3)


def test_torchvisions_vgg16_answers_the_same_to_grey_in_our_units(vgg16: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(vgg16, tmp_path / "vgg16-397923af.pth")
    made = convert_backbone(tmp_path / "vgg16-397923af.pth", tmp_path / "vgg16.safetensors")
    assert (made.encoder, made.lacking, made.ignored) == ("vgg16", (), ("classifier.0.weight",))
    encoder = VGG16Encoder()
    assert encoder.load_imagenet(read_backbone(made.path)) == ()
    lightness = torch.rand(1, 1, 16, 16) * 100
    mean, deviation = (
        torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    seen = (lightness.repeat(1, 3, 1, 1) / 100 - mean) / deviation
    expected = nn.functional.conv2d(seen, vgg16["features.0.weight"], vgg16["features.0.bias"], padding=1)
    grey = 2.55 * lightness.repeat(1, 3, 1, 1) - 114.8
    with torch.inference_mode():
        found = encoder[0](grey)
    # At the edge padding stands for another grey.
    torch.testing.assert_close(found[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=2e-2, rtol=1e-2)


def test_a_file_that_ends_early_says_what_it_lacks(vgg16: dict[str, Tensor], tmp_path: Path) -> None:
    short = {name: one for name, one in vgg16.items() if name.startswith("features.") and int(name.split(".")[1]) < 17}
    torch.save(short, tmp_path / "short.pt")
    made = convert_backbone(tmp_path / "short.pt", tmp_path / "short.safetensors")
    assert made.lacking == ("17", "19", "21", "24", "26", "28")
    assert VGG16Encoder().load_imagenet(read_backbone(made.path)) == made.lacking


@pytest.mark.parametrize("kind", ["h5", "keras", "anonymous"])
def test_kerass_vgg16_is_taken_as_it_is(kind: str, vgg16: dict[str, Tensor], tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    content = tmp_path / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    with h5py.File(content, "w") as file:
        for order, (place, name) in enumerate(zip(PLACES, KERAS, strict=True)):
            kernel = vgg16[f"features.{place}.weight"].permute(2, 3, 1, 0).numpy()
            bias = vgg16[f"features.{place}.bias"].numpy()
            if kind == "h5":
                group = file.create_group(name)
                group[f"{name}_W_1:0"], group[f"{name}_b_1:0"] = kernel, bias
            else:
                layer = f"conv2d_{order}" if order else "conv2d"
                group = file.create_group(f"layers/{layer if kind == 'anonymous' else name}/vars")
                group["0"], group["1"] = kernel, bias
        file["predictions/kernel"] = np.zeros((4, 2), np.float32)
        file["predictions/says"] = "of no use"
    source = content
    if kind == "keras":
        source = tmp_path / "vgg16.keras"
        with zipfile.ZipFile(source, "w") as archive:
            archive.write(content, "model.weights.h5")
    made = convert_backbone(source, tmp_path / "vgg16.safetensors")
    assert (made.encoder, made.origin, made.lacking) == ("vgg16", "keras", ())
    assert made.ignored == ("predictions/kernel",)
    found = read_backbone(made.path)
    for place in PLACES:
        torch.testing.assert_close(found[f"{place}.weight"], vgg16[f"features.{place}.weight"].half())


def test_another_of_kerass_networks_is_refused_by_the_names_in_its_file(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    source = tmp_path / "resnet50.weights.h5"
    with h5py.File(source, "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros((7, 7, 3, 64), np.float32)
    with pytest.raises(WeightsError, match="neither ResNet-18 nor VGG-16") as refused:
        convert_backbone(source, tmp_path / "out.safetensors")
    assert "It holds layers/conv2d/vars/0." in refused.value.advice
    assert list(tmp_path.iterdir()) == [source]


def _other_networks(vgg16: dict[str, Tensor]) -> dict[str, Any]:
    deep = {**_resnet18(), "layer1.2.conv1.weight": torch.rand(64, 64, 3, 3)}
    normalised = {f"features.{place}.weight": torch.rand(64, 3, 3, 3) for place in (0, 3)}
    return {
        "resnet34": deep,
        "vgg16_bn": normalised,
        "a list": [1, 2],
        "no tensors": {"epoch": 3},
        "a hole": {name: one for name, one in vgg16.items() if not name.startswith("features.19.")},
        "half a convolution": {name: one for name, one in vgg16.items() if name != "features.28.weight"},
    }


_TOLD = {"a hole": r"other\.pth: .* without 19\.bias, 19\.weight$", "half a convolution": r"without 28\.weight$"}


@pytest.mark.parametrize("kind", ["resnet34", "vgg16_bn", "a list", "no tensors", "a hole", "half a convolution"])
def test_another_networks_file_is_refused_and_nothing_is_left(
    kind: str, vgg16: dict[str, Tensor], tmp_path: Path
) -> None:
    source = tmp_path / "other.pth"
    torch.save(_other_networks(vgg16)[kind], source)
    with pytest.raises(WeightsError, match=_TOLD.get(kind, "neither ResNet-18 nor VGG-16|holds no state dict")):
        convert_backbone(source, tmp_path / "out.safetensors")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("drop", "told"),
    [
        ("layer2.0.conv1.weight", "without layer2.0.conv1.weight"),
        ("layer4.1.", "without layer4.1.bn1.bias, layer4.1.bn1.running_mean"),
        ("layer3.", "without layer3.0.bn1.bias"),
        ("conv1.weight", "neither ResNet-18 nor VGG-16"),
    ],
)
def test_resnet18_with_a_hole_is_refused_and_what_is_missing_named(drop: str, told: str, tmp_path: Path) -> None:
    source = tmp_path / "resnet18.pth"
    torch.save({name: one for name, one in _resnet18().items() if not name.startswith(drop)}, source)
    with pytest.raises(WeightsError, match=rf"resnet18\.pth: .*{told}"):
        convert_backbone(source, tmp_path / "out.safetensors")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("name", ["layer1.0.downsample.0.weight", "layer1.1.se.fc1.weight", "layer2.1.bn2.weight"])
def test_a_network_like_resnet18_is_refused_for_what_it_has_besides(name: str, tmp_path: Path) -> None:
    source = tmp_path / "resnet18.pth"
    torch.save({**_resnet18(), name: torch.rand(3)}, source)
    with pytest.raises(WeightsError, match=rf"(unknown|of another shape): {name}"):
        convert_backbone(source, tmp_path / "out.safetensors")


def test_resnet18_that_ends_with_layer3_says_what_it_lacks(tmp_path: Path) -> None:
    state = {name: one for name, one in _resnet18().items() if not name.startswith(("layer4.", "fc."))}
    torch.save(state, tmp_path / "short.pth")
    made = convert_backbone(tmp_path / "short.pth", tmp_path / "short.safetensors")
    assert made.lacking == ("layer4",)
    assert WholeResNet18Encoder().load_imagenet(read_backbone(made.path)) == ("layer4",)


@pytest.mark.parametrize("name", ["none.pth", "text.pth", "text.safetensors", "damaged.h5", "folder"])
def test_a_file_that_is_no_file_of_weights_is_refused(name: str, tmp_path: Path) -> None:
    source = tmp_path / name
    if name == "folder":
        source.mkdir()
    elif name == "damaged.h5":
        source.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40))
        pytest.importorskip("h5py", reason="h5py is not installed")
    elif name != "none.pth":
        source.write_text("no weights")
    with pytest.raises(WeightsError, match=name):
        convert_backbone(source, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_a_file_never_replaces_itself(vgg16: dict[str, Tensor], tmp_path: Path) -> None:
    source = tmp_path / "vgg16.safetensors"
    save_file(vgg16, source)
    before = source.read_bytes()
    with pytest.raises(SourceError, match="is read"):
        convert_backbone(source, source)
    assert source.read_bytes() == before


def test_a_backbone_that_was_not_made_ready_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(b"PK")
    with pytest.raises(WeightsError, match=r"x\.pth: not a readable backbone") as refused:
        read_backbone(tmp_path / "x.pth")
    assert "colorize-model backbone" in refused.value.advice
