from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("torch", reason="torch is not installed")

import torch  # noqa: E402

from training.architectures.fine import Fine, SceneBlock  # noqa: E402


def _lively(module: torch.nn.Module) -> torch.nn.Module:
    """Give what starts at zero some random weights."""
    for parameter in module.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return module


def test_a_scene_block_starts_as_nothing() -> None:
    x = torch.randn(2, 128, 3, 5)
    assert torch.equal(SceneBlock(128).eval()(x), x)


def test_every_part_of_the_scene_sees_every_other() -> None:
    torch.manual_seed(1)
    block = _lively(SceneBlock(64)).eval()
    x = torch.randn(1, 64, 6, 9, requires_grad=True)
    (gradient,) = torch.autograd.grad(block(x)[0, :, 0, 0].sum(), x)
    assert (gradient.abs().sum(dim=1) > 0).all()


def test_a_scene_block_knows_where_it_is() -> None:
    torch.manual_seed(1)
    block = _lively(SceneBlock(64)).eval()
    answer = block(torch.ones(1, 64, 5, 5))
    assert not torch.allclose(answer[..., 0, 0], answer[..., 2, 2])


def test_a_far_corner_changes_the_answer_everywhere() -> None:
    torch.manual_seed(2)
    model = _lively(Fine(7, width=64, depth=1, decoder=(16, 16, 16))).eval()
    lightness = 100 * torch.rand(1, 1, 256, 256)
    changed = lightness.clone()
    changed[..., :32, :32] = 0
    with torch.inference_mode():
        assert (model(lightness) != model(changed)).any(dim=1).all()
