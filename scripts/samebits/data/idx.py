"""The IDX format of MNIST: big-endian header, then unsigned bytes in C order.

Source: the format's description on the MNIST page of Y. LeCun, C. Cortes and C. Burges.
"""

import struct

import numpy as np

_UNSIGNED_BYTE = 0x08


def decode(data: bytes) -> np.ndarray:
    """An IDX file of unsigned bytes as a uint8 array. Raises ValueError when it is not one."""
    if len(data) < 4 or data[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        raise ValueError(f"expected an IDX header of unsigned bytes, got {data[:4].hex()}")
    start = 4 + 4 * data[3]
    if len(data) < start:
        raise ValueError(f"expected {start} bytes of header, got {len(data)}")
    shape = struct.unpack(f">{data[3]}I", data[4:start])
    elements = np.frombuffer(data, np.uint8, offset=start)
    if elements.size != int(np.prod(shape, dtype=np.int64)):
        raise ValueError(f"expected shape {list(shape)}, got {elements.size} elements")
    return elements.reshape(shape)


def encode(array: np.ndarray) -> bytes:
    """A uint8 array as an IDX file: the inverse of ``decode``."""
    head = bytes([0, 0, _UNSIGNED_BYTE, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + np.ascontiguousarray(array, np.uint8).tobytes()
