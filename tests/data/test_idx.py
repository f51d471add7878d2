"""IDX files, read and written."""

import numpy as np
import pytest

from samebits.data import idx


def test_what_is_encoded_is_decoded() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(idx.decode(idx.encode(array)), array)


def test_the_header_is_the_published_one() -> None:
    assert idx.encode(np.zeros((2, 3), np.uint8))[:12] == bytes.fromhex("000008020000000200000003")


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\x0d\x01\0\0\0\1" + bytes(4), b"\0\0\x08\x02\0\0", b"\0\0\x08\x01\0\0\0\2a"]
)
def test_what_is_not_an_idx_file_of_bytes_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        idx.decode(data)
