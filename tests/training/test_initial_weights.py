from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.nightly

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

import torch  # noqa: E402

from engines.errors import WeightsError  # noqa: E402
from engines.networks import open_network  # noqa: E402
from engines.weights import read_weights  # noqa: E402
from tests.training.tiny import COHERENT, CONFIG  # noqa: E402
from training.architectures import ARCHITECTURES  # noqa: E402
from training.balance import balance, bin_shares  # noqa: E402
from training.checkpoint import load_trained  # noqa: E402
from training.data import PhotoCache  # noqa: E402
from training.export import export_command  # noqa: E402
from training.initial_weights import load_initial_weights  # noqa: E402
from training.quantization import AbBins, class_weights  # noqa: E402
from training.ranges import main as ranges  # noqa: E402
from training.train import train  # noqa: E402
from training.train_options import TrainOptions  # noqa: E402

PLAIN = TrainOptions(tensorboard=False)


@pytest.fixture(scope="module")
def photos(photo_cache: Path) -> PhotoCache:
    return PhotoCache(photo_cache)


@pytest.fixture(scope="module")
def first(photo_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(CONFIG, photos=photo_cache, run=tmp_path_factory.mktemp("first"), options=PLAIN)


@pytest.fixture(scope="module")
def coherent(photo_cache: Path, first: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(COHERENT, photos=photo_cache, run=tmp_path_factory.mktemp("second"), start_from=first, options=PLAIN)


def _exported(checkpoint: Path, folder: Path) -> Path:
    return export_command(checkpoint, folder / "tiny.onnx", temperature=0.5, saturation=1.2).path


def _lightness() -> torch.Tensor:
    return torch.rand(1, 1, 64, 96, generator=torch.Generator().manual_seed(3)) * 100


@pytest.mark.nightly
@pytest.mark.parametrize("which", ["first", "coherent"])
def test_a_network_read_back_from_its_export_answers_the_same_and_can_train(
    which: str, photos: PhotoCache, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    trained = load_trained(request.getfixturevalue(which))
    model = trained.architecture.build()
    load_initial_weights(model, _exported(trained.path, tmp_path), photos)
    with torch.inference_mode():
        expected, found = trained.model(_lightness()), model.eval()(_lightness())
    # The export keeps 11 bits of every weight.
    assert (found - expected).abs().max() < 0.02 * expected.std()
    norms = [one for one in model.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    assert all(one.running_var.min() >= 0 and one.weight.min() > 0 for one in norms)


def test_a_larger_network_starts_from_the_export_of_the_smaller(
    first: Path, photos: PhotoCache, tmp_path: Path
) -> None:
    model = ARCHITECTURES["coherent"].build()
    load_initial_weights(model, _exported(first, tmp_path), photos)
    with torch.inference_mode():
        expected = load_trained(first).model(_lightness())
        found = model.head(model.eval().evidence(_lightness()))
    assert (found - expected).abs().max() < 0.02 * expected.std()


def test_weights_that_lack_a_part_of_the_network_are_refused(first: Path, photos: PhotoCache, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no head of"):
        load_initial_weights(ARCHITECTURES["fine"].build(), _exported(first, tmp_path), photos)
    with pytest.raises(WeightsError, match="linear head"):
        load_initial_weights(ARCHITECTURES["unet-plain"].build(), _exported(first, tmp_path), photos)


def test_the_export_of_a_coherent_network_takes_hints_and_tells_its_evidence(coherent: Path, tmp_path: Path) -> None:
    network, _ = open_network("onnxruntime", str(_exported(coherent, tmp_path)))
    assert network.spec.contract == "autochrome-2"
    assert network.spec.takes_hints
    lightness = _lightness().numpy()
    hints = np.zeros((1, 3, 16, 24), np.float32)
    hints[:, :, 4:8, 4:8] = np.float32([60, -60, 1])[:, None, None]
    plain, told = network.predict(lightness), network.predict(lightness, hints)
    network.close()
    assert np.abs(told.ab - plain.ab).max() > 1e-4
    assert plain.evidence is not None
    assert plain.evidence.features is not None
    assert plain.evidence.logits.shape == (1, 260, 8, 12)
    np.testing.assert_array_equal(plain.evidence.centres, AbBins().centres)
    np.testing.assert_allclose(np.linalg.norm(plain.evidence.features, axis=1), 1, atol=1e-3)
    with torch.inference_mode():
        _, evidence = load_trained(coherent).model.with_evidence(_lightness())
    assert np.abs(plain.evidence.logits - evidence.numpy()).max() < 0.02 * float(evidence.std())


def test_an_export_with_photographs_tells_activations_for_int8_and_so_does_a_command(
    coherent: Path, photo_cache: Path, tmp_path: Path
) -> None:
    exported = export_command(coherent, tmp_path / "told.onnx", temperature=0.5, saturation=1.2, photos=photo_cache)
    told = read_weights(exported.path).activations()
    assert "model.up4.0.weight" in told
    assert not [name for name in told if name.startswith("model.head")]
    assert all(least <= 0 < greatest for least, greatest in told.values())
    untold = _exported(coherent, tmp_path)
    untold.with_suffix(".json").write_text(json.dumps({**read_weights(untold).card, "activations": {}}))
    assert ranges([str(untold), "--photos", str(photo_cache)]) == 0
    assert read_weights(untold).activations() == told
    assert ranges([str(tmp_path / "none.onnx"), "--photos", str(photo_cache)]) != 0


def test_hints_that_were_never_learned_are_not_promised(photo_cache: Path, first: Path, tmp_path: Path) -> None:
    untold = dataclasses.replace(COHERENT, steps=0, growth=(), hinted_share=0.0)
    begun = train(untold, photos=photo_cache, run=tmp_path / "run", start_from=first, options=PLAIN)
    network, _ = open_network("onnxruntime", str(_exported(begun, tmp_path)))
    network.close()
    assert not network.spec.takes_hints


def test_balance_takes_a_share_of_the_weights_of_the_loss_from_the_logits(
    first: Path, photos: PhotoCache, tmp_path: Path
) -> None:
    balance(first, photos, tmp_path / "balanced.pt", uniform=0.2, power=0.5, share=0.5)
    shares = bin_shares(AbBins(), photos, count=CONFIG.holdout)
    weights = class_weights(shares, uniform=0.2, power=0.5)
    with torch.inference_mode():
        before, after = (load_trained(path).model(_lightness()) for path in (first, tmp_path / "balanced.pt"))
    found = (after - before).mean(dim=(0, 2, 3))
    torch.testing.assert_close(found, -0.5 * weights.log(), atol=1e-4, rtol=1e-4)
    assert found[shares.argmax()] > found[shares.argmin()]
