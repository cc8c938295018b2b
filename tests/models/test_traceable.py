"""Networks trace whole: no control flow on data, no graph break, the same numbers."""

from collections.abc import Sequence

import pytest
import torch
from tiny_models import tiny_config, tiny_inputs
from torch import Tensor, nn

from vexkd.models.inputs import Inputs
from vexkd.models.perception import Perception


class Deployed(nn.Module):
    """What an exporter traces: named inputs to boxes or logits."""

    def __init__(self, model: Perception, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        output = self.model(Inputs(**dict(zip(self.names, tensors, strict=True))))
        if isinstance(output.prediction, Tensor):
            return (output.prediction,)
        return tuple(self.model.decode(output))


@pytest.mark.parametrize(
    ("kind", "task"),
    [("lidar", "detection"), ("camera", "detection"), ("mgfm", "detection"), ("conv", "segmentation")],
)
def test_torch_export_gives_the_same_numbers(kind: str, task: str) -> None:
    torch.manual_seed(0)
    config = tiny_config(kind)
    inputs = {k: v for k, v in tiny_inputs(config, batch=1)._asdict().items() if v is not None}
    deployed = Deployed(Perception(config, task), list(inputs)).eval()  # type: ignore[arg-type]
    program = torch.export.export(deployed, tuple(inputs.values()))
    names = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not [name for name in names if "nonzero" in name or "index_put" in name or "scatter" in name]
    with torch.no_grad():
        expected = deployed(*inputs.values())
        got = program.module()(*inputs.values())
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
