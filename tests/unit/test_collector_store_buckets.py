from hypothesis import given
from hypothesis import strategies as st

from agent.wire.histogram import HIGHEST_INDEX, LOWEST_INDEX
from collector.store.buckets import BUCKET_BYTES, decode_buckets, encode_buckets, merge_encoded

buckets = st.dictionaries(st.integers(LOWEST_INDEX, HIGHEST_INDEX), st.integers(1, 2**31 - 1), max_size=50)


@given(buckets)
def test_buckets_come_back_as_they_went_in(counts):
    """Encoding loses nothing and takes six bytes a bucket."""
    data = encode_buckets(counts)
    assert decode_buckets(data) == counts
    assert len(data) == BUCKET_BYTES * len(counts)


@given(buckets, buckets)
def test_merging_encoded_rows_adds_every_bucket(one, other):
    """Merged bytes hold the sum of both rows, in whichever order they are merged."""
    expected = {index: one.get(index, 0) + other.get(index, 0) for index in one.keys() | other.keys()}
    assert decode_buckets(merge_encoded(encode_buckets(one), encode_buckets(other))) == expected
    assert merge_encoded(encode_buckets(other), encode_buckets(one)) == encode_buckets(expected)
