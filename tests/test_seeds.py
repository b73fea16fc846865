"""A stream is fixed by its key: not by order, process or what was drawn before."""

from __future__ import annotations

import hashlib

import numpy as np
from scipy import stats

from rvsd_bench.seeds import stream


def test_the_same_key_gives_the_same_numbers_in_any_order() -> None:
    first = stream(1, "clip", 0).random(8)
    stream(2, "other").random(1000)
    assert np.array_equal(stream(1, "clip", 0).random(8), first)


def test_the_key_is_the_digest_of_its_typed_parts() -> None:
    # A change here means that every dataset ever generated would come out differently.
    assert stream(0, "snow").bit_generator.state["state"]["key"].tolist() == _key(
        "int:0\x1fstr:snow"
    )


def _key(text: str) -> list[int]:
    digest = hashlib.sha256(text.encode()).digest()
    return [int.from_bytes(digest[i : i + 8], "little") for i in (0, 8)]


def test_keys_that_read_alike_give_different_streams() -> None:
    keys: list[tuple[int | str, ...]] = [(1,), ("1",), (1, 1), (11,), ("1", "1"), ("11",)]
    draws = {key: stream(*key).random() for key in keys}
    assert len(set(draws.values())) == len(draws)


def test_streams_of_neighbouring_seeds_are_independent() -> None:
    a, b = stream(7, "x").random(20_000), stream(8, "x").random(20_000)
    assert stats.kstest(a, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03
