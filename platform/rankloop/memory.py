"""How processes hold memory: what tensors and photographs free is used again."""

import ctypes

# For the processes of Ray. glibc keeps what is freed: a training step, or the next photograph,
# allocates what the one before had, and where that is mapped anew, clearing its pages takes a third
# of a CPU's time and more. (Training runs in a thread of Ray's, and memory of a thread's own would
# be mapped in any case.) oneDNN forgets shapes that are long past: photographs of their own size
# have thousands.
ENVIRONMENT = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "512",
}
# The same for a process that runs already; of glibc's malloc.h.
_ARENA_MAX, _MMAP_MAX, _TRIM_THRESHOLD = -8, -4, -1


def keep_freed_memory() -> None:
    """Let this process use freed memory again; nothing where the C library is not glibc."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_ARENA_MAX, 1)
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
