"""Memory that the agent does not need to keep: what imports and start-up take for a moment, or for nobody."""

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3  # glibc's malloc.h
_LARGE_BYTES = 131_072


@contextmanager
def without_authorities() -> Iterator[None]:
    """Import aiohttp in here: it reads the system's certificate authorities, twice, for sessions without a context.

    That is 2 MB and 60 ms for nothing: the agent's one session brings its own. Another would trust nobody.
    """
    names = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # OpenSSL's, see SSL_CTX_set_default_verify_paths(3)
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def keep_little() -> None:
    """One heap for all threads, and large blocks that go back to the kernel when freed.

    The agent's few short-lived threads need no heap of their own, and the page of /metrics, built several
    times over for a moment, is not to stay. Call before the first thread; nothing happens without glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def give_back() -> None:
    """Collect garbage, take what is left out of later collections, and return free pages to the kernel."""
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
