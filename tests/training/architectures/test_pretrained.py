from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from safetensors.torch import save_file  # noqa: E402
from torch import Tensor  # noqa: E402

from engines.errors import WeightsError  # noqa: E402
from tests.training.tiny import COHERENT  # noqa: E402
from training.architectures.encoders import ColourResNet18Encoder, ResNet18Encoder  # noqa: E402
from training.architectures.pretrained import PretrainedDiscriminator  # noqa: E402
from training.backbone import read_backbone  # noqa: E402
from training.config import AdversaryConfig, ConfigError  # noqa: E402
from training.train import CHECKPOINT, train  # noqa: E402
from training.train_options import TrainOptions  # noqa: E402

PLAIN = TrainOptions(tensorboard=False, device="cpu")
CONFIG = dataclasses.replace(
    COHERENT,
    adversary=AdversaryConfig(
        objective="vanilla",
        weight=0.3,
        learning_rate=1e-3,
        discriminator="pretrained",
        saturation=1.8,
        head_start=2,
    ),
)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(4)
    path = tmp_path_factory.mktemp("backbone") / "resnet18.safetensors"
    state = ColourResNet18Encoder().state_dict()
    save_file({name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}, path)
    return path


def test_weights_of_one_file_see_the_same_in_grey_and_in_colour(backbone: Path) -> None:
    colour, grey = ColourResNet18Encoder().eval(), ResNet18Encoder().eval()
    for encoder in (colour, grey):
        encoder.load_imagenet(read_backbone(backbone))
    # In grey there is one mean and one deviation for the three channels.
    colour.mean.fill_(0.449)
    colour.deviation.fill_(0.226)
    picture = torch.rand(1, 1, 32, 32)
    with torch.inference_mode():
        for one, other in zip(colour(picture.repeat(1, 3, 1, 1)), grey(100 * picture), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_every_place_of_every_colour_counts_and_the_encoder_normalises_as_it_did() -> None:
    torch.manual_seed(1)
    critic = PretrainedDiscriminator().train()
    ab = torch.zeros(2, 2, 32, 32)
    ab[1, 0, :16] = 40.0
    ab.requires_grad_()
    logits = critic(torch.full((2, 1, 64, 64), 60.0), ab)
    assert logits.shape == (2, 3 * 4 * 4)
    assert not torch.equal(logits[0], logits[1])
    logits.sum().backward()
    assert ab.grad is not None
    assert ab.grad.abs().sum(dim=1).ne(0).all()
    assert not critic.encoder.training


@pytest.mark.nightly
@pytest.mark.parametrize("encoder_learning_rate", [0.0, 1e-4])
def test_the_discriminator_learns_alone_at_first_then_both(
    encoder_learning_rate: float, backbone: Path, photo_cache: Path, tmp_path: Path
) -> None:
    adversary = dataclasses.replace(CONFIG.adversary, encoder_learning_rate=encoder_learning_rate)

    def made(steps: int) -> dict[str, Tensor]:
        config = dataclasses.replace(CONFIG, adversary=adversary, steps=steps, warmup=0, cooldown=0)
        run = tmp_path / str(steps)
        train(config, photos=photo_cache, run=run, backbone=backbone, options=PLAIN)
        state = torch.load(run / CHECKPOINT, weights_only=True)
        critic = state["adversary"]["model"]
        return {
            "generator": state["model"]["head.weight"],
            "judge": critic["judges.0.4.bias"],
            "encoder": critic["encoder.layer3.1.conv2.weight"],
            "normalisation": critic["encoder.bn1.running_mean"],
        }

    begun, alone, done = (made(steps) for steps in (0, 2, 4))
    learned = {name for name in begun if not torch.equal(begun[name], alone[name])}
    assert learned == {"judge", "encoder"} if encoder_learning_rate else learned == {"judge"}
    assert {name for name in begun if not torch.equal(alone[name], done[name])} == learned | {"generator"}


def test_without_its_weights_it_is_refused(photo_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs ImageNet weights"):
        train(CONFIG, photos=photo_cache, run=tmp_path / "run", options=PLAIN)
    wrong = tmp_path / "wrong.safetensors"
    save_file({"conv1.weight": torch.zeros(1)}, wrong)
    with pytest.raises(WeightsError, match="not this encoder's weights"):
        train(CONFIG, photos=photo_cache, run=tmp_path / "run", backbone=wrong, options=PLAIN)
    assert not (tmp_path / "run" / CHECKPOINT).exists()
