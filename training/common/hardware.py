"""Where networks compute, in which numbers, and on how many threads."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


def device() -> torch.device:
    """The first GPU that torch can use, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def matrix_products(on: torch.device, in_bfloat16: bool) -> AbstractContextManager[object]:
    """In bfloat16 while the weights and all else stay in float32; or all in float32."""
    return torch.autocast(on.type, torch.bfloat16) if in_bfloat16 else nullcontext()


@contextmanager
def one_thread() -> Iterator[None]:
    """torch's own threads but one rest meanwhile; a decorator too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
