"""The Merkle tree of RFC 6962 over digests: known roots, proofs, and what they refuse."""

import hashlib

import pytest

from samebits.formats import merkle

DIGESTS = [hashlib.sha256(bytes([i])).hexdigest() for i in range(9)]


def leaf(digest: str) -> bytes:
    return hashlib.sha256(b"\x00" + bytes.fromhex(digest)).digest()


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def test_of_nothing_it_is_the_digest_of_nothing() -> None:
    assert merkle.root([]) == hashlib.sha256(b"").hexdigest()


def test_of_one_it_is_the_leaf_and_not_the_digest() -> None:
    assert merkle.root(DIGESTS[:1]) == leaf(DIGESTS[0]).hex()


def test_of_five_the_left_half_is_four_as_the_rfc_says() -> None:
    a, b, c, d, e = map(leaf, DIGESTS[:5])
    expected = node(node(node(a, b), node(c, d)), e)
    assert merkle.root(DIGESTS[:5]) == expected.hex()


@pytest.mark.parametrize("size", range(1, 10))
def test_every_digest_is_proved_at_its_place_and_at_no_other(size: int) -> None:
    digests = DIGESTS[:size]
    root = merkle.root(digests)
    for index, digest in enumerate(digests):
        path = merkle.proof(digests, index)
        assert merkle.verify(digest, index, size, path, root)
        places = [i for i in range(size) if merkle.verify(digest, i, size, path, root)]
        assert places == [index]
        assert not merkle.verify("f" * 64, index, size, path, root)
        assert not merkle.verify(digest, index, size, [*path, "0" * 64], root)
        assert size == 1 or not merkle.verify(digest, index, size, path[:-1], root)


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_proof_of_a_place_that_is_not_there(index: int) -> None:
    assert not merkle.verify(DIGESTS[0], index, 3, [], merkle.root(DIGESTS[:3]))
    with pytest.raises(IndexError):
        merkle.proof(DIGESTS[:3], index)


def test_a_node_does_not_pass_for_a_leaf() -> None:
    inner = node(leaf(DIGESTS[0]), leaf(DIGESTS[1])).hex()
    assert merkle.root([inner]) != merkle.root(DIGESTS[:2])


def test_what_is_no_digest_proves_nothing() -> None:
    assert not merkle.verify("no digest", 0, 2, ["0" * 64], "0" * 64)
    assert not merkle.verify(DIGESTS[0], 0, 2, ["no digest"], "0" * 64)


def test_order_and_number_count() -> None:
    roots = {merkle.root(d) for d in (DIGESTS, DIGESTS[::-1], DIGESTS[:8], [*DIGESTS, DIGESTS[8]])}
    assert len(roots) == 4
