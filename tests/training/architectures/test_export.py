"""The generators as ONNX graphs, at any batch, height and width, for every runtime."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.nightly

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from torch import nn  # noqa: E402
from torch.export import Dim  # noqa: E402

from training.architectures.fine import Fine  # noqa: E402
from training.architectures.pix2pix_unet import Pix2PixUNet  # noqa: E402

CASES = [
    pytest.param(lambda: Fine(5, width=64, depth=1, decoder=(16, 16, 16)), 32, id="fine"),
    pytest.param(lambda: Pix2PixUNet(levels=3, width=4), 8, id="pix2pix-unet"),
]


def _onnx(model: nn.Module, multiple: int) -> bytes:
    free = {0: Dim("batch"), 2: multiple * Dim("rows"), 3: multiple * Dim("columns")}
    program = torch.onnx.export(
        model,
        (torch.full((2, 1, 2 * multiple, 3 * multiple), 50.0),),
        input_names=["lightness"],
        output_names=["answer"],
        opset_version=18,
        dynamic_shapes={"lightness": free},
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("build", "multiple"), CASES)
def test_the_exported_graph_answers_as_torch_at_every_shape(build: type[nn.Module], multiple: int) -> None:
    torch.manual_seed(1)
    model = build().eval()
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    content = _onnx(model, multiple)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for shape in ((1, 1, multiple, 2 * multiple), (3, 1, 4 * multiple, 3 * multiple)):
        lightness = 100 * torch.rand(shape)
        with torch.inference_mode():
            expected = model(lightness)
        (answer,) = session.run(None, {"lightness": lightness.numpy()})
        torch.testing.assert_close(torch.from_numpy(answer), expected, rtol=1e-4, atol=1e-4)
