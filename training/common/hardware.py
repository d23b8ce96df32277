"""The device, the precision and the threads that networks compute with."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


def device() -> torch.device:
    """Return the first GPU that torch can use, or else the processor."""
    name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def matrix_products(on: torch.device, in_bfloat16: bool) -> AbstractContextManager[object]:
    """Compute matrix products in bfloat16, if asked to, while weights and all else stay in float32."""
    return torch.autocast(on.type, torch.bfloat16) if in_bfloat16 else nullcontext()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside the block, or inside a function that this decorates."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
