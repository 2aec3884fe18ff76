"""Average the weights of two runs: ``python -m training.average FIRST SECOND OUTPUT --share 0.4``.

The average of two networks with a common ancestor, both trained until their rate reached zero, is often better than
either (Wortsman et al. 2022, "Model soups"). The output is the first run's checkpoint with the averaged weights, to
evaluate, to balance or to start from.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from engines.errors import WeightsError
from training.checkpoint import load_trained, save_state
from training.commands import command
from training.files import check_output


def average(first: Path, second: Path, output: Path, *, share: float) -> None:
    """Write ``first`` to ``output`` with averaged weights, in which ``second`` has the ``share``, 0..1.

    Raises `WeightsError`, and `SourceError` if ``output`` is one of them.
    """
    check_output(output, [first, second])
    ours, theirs = load_trained(first), load_trained(second)
    if ours.config.architecture != theirs.config.architecture:
        raise WeightsError(f"{second}: {theirs.config.architecture}, but {first} is {ours.config.architecture}")
    state = torch.load(first, map_location="cpu", weights_only=True)
    other = theirs.model.state_dict()
    state["ema"] = {
        name: value.lerp(other[name].to(value), share) if value.is_floating_point() else value
        for name, value in state["ema"].items()
    }
    save_state(state, output)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.average", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    for name in ("first", "second", "output"):
        add(name, type=Path)
    add("--share", type=float, default=0.5)
    args = parser.parse_args(arguments)
    average(args.first, args.second, args.output, share=args.share)


if __name__ == "__main__":
    raise SystemExit(main())
