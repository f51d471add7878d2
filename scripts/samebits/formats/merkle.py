"""One digest that commits to a list of digests, and proofs that one of them is in it.

The tree of RFC 6962, section 2.1: a leaf is SHA-256(0x00 || digest), a node SHA-256(0x01 || left ||
right), and the left half of n leaves is the largest power of two below n. So no node can pass for
a leaf, and no list for another one. All digests are SHA-256 in hexadecimal. Runs on Python 3.7 to
3.13.
"""

from __future__ import annotations

import hashlib
from typing import Sequence


def root(digests: Sequence[str]) -> str:
    """The root over these digests, in their order; of none: SHA-256 of nothing."""
    return _root(list(map(_leaf, digests))).hex()


def proof(digests: Sequence[str], index: int) -> list[str]:
    """The nodes beside the way from a leaf to the root, the leaf's own neighbour first."""
    if not 0 <= index < len(digests):
        raise IndexError(f"expected an index below {len(digests)}, got {index}")
    return [node.hex() for node in _path(list(map(_leaf, digests)), index)]


def verify(digest: str, index: int, size: int, path: Sequence[str], expected: str) -> bool:
    """Whether a digest is the one at ``index`` of the ``size`` that a root commits to."""
    if not 0 <= index < size:
        return False
    try:
        node = _leaf(digest)
        for beside, is_left in _turns(index, size, list(map(bytes.fromhex, path))):
            node = _node(beside, node) if is_left else _node(node, beside)
    except ValueError:  # no hexadecimal, or another number of nodes
        return False
    return node.hex() == expected


def _leaf(digest: str) -> bytes:
    return hashlib.sha256(b"\0" + bytes.fromhex(digest)).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _half(size: int) -> int:
    """The largest power of two below ``size``, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def _root(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    half = _half(len(leaves))
    return _node(_root(leaves[:half]), _root(leaves[half:]))


def _path(leaves: list[bytes], index: int) -> list[bytes]:
    if len(leaves) == 1:
        return []
    half = _half(len(leaves))
    if index < half:
        return [*_path(leaves[:half], index), _root(leaves[half:])]
    return [*_path(leaves[half:], index - half), _root(leaves[:half])]


def _turns(index: int, size: int, path: list[bytes]) -> list[tuple[bytes, bool]]:
    """Each node of a path, and whether it is the left one. Raises ValueError unless they fit."""
    sides: list[bool] = []
    while size > 1:
        half = _half(size)
        sides.append(index >= half)
        index, size = (index - half, size - half) if index >= half else (index, half)
    if len(sides) != len(path):
        raise ValueError(f"expected {len(sides)} nodes, got {len(path)}")
    return [(path[i], side) for i, side in enumerate(reversed(sides))]
