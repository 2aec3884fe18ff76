"""Where a run computes: one CPU or GPU, or several in parallel under ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
from torch import nn

from engines.errors import EngineError

DeviceName = Literal["auto", "cpu", "cuda"]
Precision = Literal["bf16", "f32"]

# PyTorch's names, on x86 and on ARM. An x86 processor without one emulates bfloat16 through float32, and takes nine
# times as long (docs/training.md). On ARM neither was timed.
_BF16 = ("avx512_bf16", "amx_bf16", "bf16")


@dataclass(frozen=True)
class Machine:
    """The device of this process, and its rank among ``ranks`` processes that share every batch."""

    device: torch.device
    precision: Precision = "f32"
    rank: int = 0
    ranks: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    @property
    def computes(self) -> str:
        """Precision and device, for people: ``float32 on the CPU, 2 threads``."""
        kind = "bfloat16" if self.precision == "bf16" else "float32"
        if self.device.type == "cpu":
            threads = torch.get_num_threads()
            where = f"the CPU, {threads} thread{'s' if threads > 1 else ''}"
        else:
            where = torch.cuda.get_device_name(self.device)
        return f"{kind} on {where}" + (f", one of {self.ranks} processes" if self.ranks > 1 else "")

    def autocast(self) -> torch.autocast:
        """Return the context in which networks run."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    @torch.no_grad()
    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average the gradients over all processes, in one exchange."""
        if self.ranks == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(together)
        together /= self.ranks
        for gradient, mean in zip(gradients, torch.split(together, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def agreed(self, value: float) -> float:
        """Return the first process's ``value`` in all of them."""
        if self.ranks == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(shared, 0)
        return float(shared)


@contextmanager
def open_machine(name: DeviceName, *, precision: Precision | Literal["auto"]) -> Iterator[Machine]:
    """Yield the machine called ``name``; ``auto`` is the GPU, if there is one. ``torchrun`` defines the other ranks.

    The precision ``auto`` is bfloat16 if the device has hardware for it, else float32. Processes that are already
    connected stay so. Raises `EngineError` if ``cuda`` is requested and missing.
    """
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise EngineError("cuda: PyTorch sees no GPU here", advice="Train with --device cpu, or check the driver.")
    kind = "cuda" if there and name != "cpu" else "cpu"
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device(kind, int(os.environ.get("LOCAL_RANK", "0"))) if kind == "cuda" else torch.device(kind)
    if precision == "auto":
        precision = "bf16" if _made_for_bf16(kind) else "f32"
    if kind == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True
    if ranks == 1:
        yield Machine(device, precision)
        return
    ours = not dist.is_initialized()
    if ours:
        dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield Machine(device, precision, dist.get_rank(), ranks)
    finally:
        if ours:
            dist.destroy_process_group()


def _made_for_bf16(kind: str) -> bool:
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    able = torch.cpu.get_capabilities()
    return any(able.get(one, False) for one in _BF16)


def fits(size: int, device: torch.device) -> bool:
    """Return whether ``device`` is a GPU, and ``size`` bytes take less than half of its free memory."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return 2 * size < free
