import contextlib
import gzip

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from collector.decompress import MalformedError, TooLargeError, UnsupportedError, decompress

PLAIN = b'{"schema": 1}' * 100
ENCODED = {"identity": PLAIN, "gzip": gzip.compress(PLAIN, mtime=0), "zstd": zstandard.compress(PLAIN)}


@pytest.mark.parametrize("encoding", ENCODED)
def test_each_encoding_gives_the_bytes_back_up_to_the_bound(encoding):
    """A body of exactly the bound passes, one byte more does not."""
    assert decompress(ENCODED[encoding], encoding, len(PLAIN)) == PLAIN
    with pytest.raises(TooLargeError):
        decompress(ENCODED[encoding], encoding, len(PLAIN) - 1)


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_is_cut_at_the_bound(encoding):
    """A hundred megabytes in a few kilobytes never exist as bytes here."""
    huge = bytes(100 * 2**20)
    bomb = gzip.compress(huge) if encoding == "gzip" else zstandard.compress(huge)
    assert len(bomb) < 200_000
    with pytest.raises(TooLargeError, match="more than 65536 bytes"):
        decompress(bomb, encoding, 65536)


def test_a_frame_that_asks_for_a_huge_window_is_refused():
    """Memory is bounded by us, not by what the frame's header demands."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    frame = compressor.compress(PLAIN) + compressor.flush()
    with pytest.raises(MalformedError, match="not zstd"):
        decompress(frame, "zstd", 2**20)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (ENCODED["gzip"][:-9], "gzip"),
        (ENCODED["gzip"] + b"more", "gzip"),
        (b"", "gzip"),
        (PLAIN, "gzip"),
        (PLAIN, "zstd"),
        (ENCODED["zstd"] + b"more than a frame header", "zstd"),
        (ENCODED["gzip"], "zstd"),
    ],
)
def test_what_is_not_as_encoded_is_malformed(body, encoding):
    """Truncated, foreign and trailing bytes are an error, not a shorter body."""
    with pytest.raises(MalformedError, match=f"not {encoding}"):
        decompress(body, encoding, 2**20)


def test_other_encodings_are_named_as_unsupported():
    """The answer says what would be accepted."""
    with pytest.raises(UnsupportedError, match="br is not accepted here; zstd, gzip and identity are"):
        decompress(PLAIN, "br", 2**20)


@given(st.binary(max_size=300), st.sampled_from(["zstd", "gzip"]))
def test_any_bytes_give_bytes_or_a_stated_error(body, encoding):
    """No input raises anything else."""
    with contextlib.suppress(MalformedError, TooLargeError):
        assert len(decompress(body, encoding, 1000)) <= 1000
