"""Where the memory of batches comes from."""

import ctypes
from typing import Final

# Of mallopt, in glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_LARGEST_MMAP_THRESHOLD: Final = 32 << 20
_KEPT: Final = 1 << 30


def keep_freed_memory() -> None:
    """Let this process keep up to 1 GiB of what it frees for what it allocates next, where the C library is glibc.

    Each batch needs arrays of the same sizes. Given back and asked for again, the kernel clears them page by page,
    which took a tenth of a training's CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
