"""One command in several processes, as torchrun starts them: who they are, and who speaks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed

from models import shards


@contextmanager
def together(device: torch.device) -> Iterator[torch.device]:
    """Join the processes that torchrun started, and share what `models.shards` shares, while the body runs.

    Args:
        device: Where this command is to compute.

    Yields:
        Where this process is to: of the GPUs of a machine, each takes its own.

    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        with shards.shared():
            yield device
    finally:
        distributed.destroy_process_group()


def speaks() -> bool:
    """Tell whether this is the process that prints and writes."""
    return os.environ.get("RANK", "0") == "0"
