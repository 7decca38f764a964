import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankloop.randomness import derived_seed, rng

PARTS = st.one_of(st.integers(-(2**40), 2**40), st.text(max_size=5))
IDENTITIES = st.lists(PARTS, max_size=4).map(tuple)


def numbers(seed, *identity):
    return rng(seed, *identity).integers(2**63, size=4).tolist()


@given(st.integers(0, 2**32), IDENTITIES)
def test_same_identity_same_numbers(seed, identity):
    assert numbers(seed, *identity) == numbers(seed, *identity)
    assert derived_seed(seed, *identity) == derived_seed(seed, *identity)


@given(IDENTITIES, IDENTITIES)
def test_different_identities_differ(one, other):
    same = [(type(a), a) for a in one] == [(type(b), b) for b in other]
    assert (numbers(0, *one) == numbers(0, *other)) == same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        ((1,), ("1",)),
        ((1, 2), (12,)),
        ((1, 2), (2, 1)),
        (("a",), ("a", "")),
        ((), ("",)),
        (("a", "int:1:1"), ("a", 1)),
    ],
)
def test_identities_that_look_alike_differ(one, other):
    assert numbers(0, *one) != numbers(0, *other)
    assert derived_seed(0, *one) != derived_seed(0, *other)


def test_another_seed_gives_other_numbers():
    assert numbers(0, "a") != numbers(1, "a")
    assert numbers(0, 1) != numbers(1, 0)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_numpy_integers_count_as_plain_ones(kind):
    assert numbers(kind(7), "a", kind(3)) == numbers(7, "a", 3)
    assert derived_seed(kind(7), kind(3)) == derived_seed(7, 3)


def test_the_generator_is_seeded_as_documented():
    """Against the derivation written out: the numbers of a run must not change between versions."""
    digest = hashlib.blake2b(b"int:1:5str:1:a" + b"int:2:12", digest_size=32).digest()
    entropy = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 32, 4)]
    expected = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
    assert numbers(5, "a", 12) == expected.integers(2**63, size=4).tolist()


def test_derived_seed_fits_32_bits():
    seeds = {derived_seed(0, step) for step in range(200)}
    assert len(seeds) == 200
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_global_generators_are_left_alone():
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    rng(0, "a").random(10)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
