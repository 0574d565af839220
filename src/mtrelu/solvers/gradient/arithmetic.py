"""How the processor is to compute while networks are trained and judged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def steady_arithmetic() -> Iterator[None]:
    """Use one thread, and take denormal numbers for 0 where the processor can; restore both.

    With one thread sums do not depend on how many there are, and at the sizes of the paper's
    networks threads would wait for each other longer than they work. Weight decay lets neurons that
    do nothing shrink until nearly all parameters are denormal, of the size of 1e-40, and then each
    step would take five times as long.

    Examples
    --------
    >>> with steady_arithmetic():
    ...     shrunk, threads = torch.full((1,), 1e-38) * 0.1, torch.get_num_threads()
    >>> threads, bool(torch.full((1,), 1e-38) * 0.1 > 0)
    (1, True)
    """
    threads = torch.get_num_threads()
    tiny = torch.full((1,), torch.finfo(torch.float32).tiny, dtype=torch.float32)
    flushed = not bool(tiny * 0.5 > 0)
    torch.set_num_threads(1)  # the mode below is that of a thread
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(threads)
