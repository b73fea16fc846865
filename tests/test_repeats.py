"""Rows of one training recipe from several seeds: mean and scatter, against numpy."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rvsd_bench.columns import LEADERBOARD
from rvsd_bench.leaderboard.exports import footnotes, markdown
from rvsd_bench.leaderboard.latex import latex
from rvsd_bench.leaderboard.records import records
from rvsd_bench.leaderboard.repeats import repeats
from rvsd_bench.leaderboard.table import Group, Row, group

PSNR = (24.31, 25.02, 24.77)


def row(name: str, seed: str, psnr: float, **cells: str) -> Row:
    facts = {
        "method_id": f"{name}@{seed}{psnr}", "method_name": name, "kind": "video",
        "protocol": "rvsd-2023", "protocol_hash": "0a", "dataset": "demo", "split": "test",
        "source": "measured", "valid": "true", "trained": "true", "precision": "float32",
        "train_seed": seed, "train_config_sha256": "c0", "psnr": repr(psnr),
        "psnr_ci_lo": repr(psnr - 2), "psnr_ci_hi": repr(psnr + 2), "ssim": repr(psnr / 30),
    }  # fmt: skip
    return dict.fromkeys(LEADERBOARD, "") | facts | cells


def table(*rows: Row) -> Group:
    (found,) = group(rows)
    return found


@pytest.fixture
def three() -> Group:
    """Return a group with one recipe trained three times, and another method."""
    trained = [row("svdnet", seed, psnr) for seed, psnr in zip(("0", "10", "9"), PSNR)]
    return table(*trained, row("dcp", "", 17.0, train_config_sha256=""))


def test_mean_and_deviation_are_numpys_over_the_trainings(three: Group) -> None:
    (found,) = repeats(three)
    assert found.name == "svdnet"
    assert found.seeds == ("0", "9", "10")  # as numbers, not as text
    assert len(found.methods) == 3
    assert set(found.scores) == {"psnr", "ssim"}
    assert found.scores["psnr"] == pytest.approx((np.mean(PSNR), np.std(PSNR, ddof=1)))


def test_every_export_says_the_same_and_keeps_it_apart_from_intervals(three: Group) -> None:
    told = (
        "svdnet, trained from the seeds 0, 9, 10: PSNR 24.70 ± 0.36, SSIM 0.8233 ± 0.0120 (mean ± "
        "standard deviation over trainings; intervals are over source clips)"
    )
    assert told in footnotes(three)
    assert f"- {told}" in markdown([three])
    assert told.replace("±", r"$\pm$") in latex([three])
    (stored,) = json.loads(records([three]))["groups"][0]["repeats"]
    assert stored["scores"]["psnr"]["sd"] == pytest.approx(np.std(PSNR, ddof=1))
    assert stored["seeds"] == ["0", "9", "10"]


@pytest.mark.parametrize(
    "others",
    [
        {"train_config_sha256": "c1"},
        {"params_m": "2.0"},
        {"train_seed": "1"},
        {"train_seed": ""},
        {"valid": "false"},
        {"trained": "false"},
        {"source": "oracle"},
    ],
    ids=lambda cells: next(iter(cells)),
)
def test_rows_that_differ_in_more_or_in_less_than_the_seed_are_not_joined(
    others: dict[str, str],
) -> None:
    assert len(repeats(table(row("a", "1", 20.0), row("a", "2", 21.0)))) == 1
    assert repeats(table(row("a", "1", 20.0), row("a", "2", 21.0) | others)) == ()


def test_without_a_recipe_the_name_joins() -> None:
    plain = {"train_config_sha256": ""}
    joined = [row("a", "1", 20.0, **plain), row("a", "2", 21.0, **plain)]
    apart = row("b", "3", 22.0, **plain)
    (found,) = repeats(table(*joined, apart))
    assert found.seeds == ("1", "2")


def test_a_metric_that_one_training_lacks_has_no_mean() -> None:
    (found,) = repeats(table(row("a", "1", 20.0), row("a", "2", 21.0, ssim="")))
    assert set(found.scores) == {"psnr"}
