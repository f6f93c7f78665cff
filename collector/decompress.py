"""Request bodies back to plain bytes, never more of them than allowed. Pure.

A few kilobytes can expand to gigabytes: each decoder is asked for at most one byte more than the bound.
"""

import io
import zlib

import zstandard

ZSTD_WINDOW_BYTES = 8 * 2**20
"""What RFC 8878 section 3.1.1.1.2 asks every decoder to support, and no more: the frame names its window."""
GZIP = 16 + zlib.MAX_WBITS


class TooLargeError(ValueError):
    """More than the bound after decompression."""


class MalformedError(ValueError):
    """Not what its Content-Encoding says."""


class UnsupportedError(ValueError):
    """A Content-Encoding that is not accepted here."""


def decompress(body: bytes, encoding: str, most_bytes: int) -> bytes:
    """The body without its Content-Encoding: zstd, gzip or identity.

    Raises UnsupportedError, MalformedError, TooLargeError.
    """
    if encoding == "identity":
        plain = body
    elif encoding == "zstd":
        plain = _zstd(body, most_bytes + 1)
    elif encoding == "gzip":
        plain = _gzip(body, most_bytes + 1)
    else:
        raise UnsupportedError(
            f"Content-Encoding {encoding} is not accepted here; zstd, gzip and identity are"
        )
    if len(plain) > most_bytes:
        raise TooLargeError(f"more than {most_bytes} bytes after decompression")
    return plain


def _zstd(body: bytes, most_bytes: int) -> bytes:
    decoder = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    source = io.BytesIO(body)
    try:
        with decoder.stream_reader(source, read_size=len(body) or 1, read_across_frames=True) as reader:
            return reader.read(most_bytes)
    except zstandard.ZstdError as error:
        raise MalformedError(f"not zstd: {error}") from error


def _gzip(body: bytes, most_bytes: int) -> bytes:
    decoder = zlib.decompressobj(GZIP)
    try:
        plain = decoder.decompress(body, most_bytes)
    except zlib.error as error:
        raise MalformedError(f"not gzip: {error}") from error
    if len(plain) < most_bytes and not decoder.eof:
        raise MalformedError("not gzip: it ends too early")
    if decoder.unused_data:
        raise MalformedError("not gzip: data follows its end")
    return plain
