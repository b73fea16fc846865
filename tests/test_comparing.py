"""Comparisons and tie groups of runs written by hand, checked against what was put in."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from rvsd_bench.cli.leaderboard import leaderboard as command
from rvsd_bench.columns import LEADERBOARD, PER_VIDEO, csv_lines
from rvsd_bench.errors import InputError
from rvsd_bench.leaderboard.board import add
from rvsd_bench.leaderboard.build import build
from rvsd_bench.leaderboard.comparing import Comparison, compare
from rvsd_bench.leaderboard.comparison_table import text
from rvsd_bench.leaderboard.pairing import pick
from rvsd_bench.leaderboard.table import Group, read_run

Scores = Mapping[str, Mapping[str, Sequence[float | None]]]
"""Method -> metric -> the mean of each video."""


def _run(
    folder: Path,
    scores: Scores,
    *,
    variants: int = 1,
    average: str = "macro",
    frames: Sequence[int] | None = None,
    cells: Mapping[str, Mapping[str, object]] | None = None,
    videos: Mapping[str, object] | None = None,
    **shared: object,
) -> Path:
    """Write a run; video i was made from source clip i // variants."""
    common = {
        "schema_version": 1, "run_id": folder.name, "protocol": "p-1", "dataset": "demo",
        "protocol_hash": "0123456789ab", "split": "test", "source": "measured", "valid": True,
        "dataset_manifest_sha256": "f" * 64, "trained": True, "benchmark_version": "1",
        "n_sources": -(-max(len(v) for s in scores.values() for v in s.values()) // variants),
    } | shared  # fmt: skip
    rows: list[dict[str, Any]] = []
    long: list[dict[str, Any]] = []
    for method, metrics in scores.items():
        row = common | {"method_id": method, "method_name": method, "kind": "classical"}
        for metric, values in metrics.items():
            lengths = frames or [5] * len(values)
            for i, value in enumerate(values):
                keys = ("run_id", "protocol", "protocol_hash", "method_id", "dataset", "split")
                line = {key: row[key] for key in keys} | {"video": f"{i:05d}", "metric": metric}
                line |= {"source_id": f"clip {i // variants}", "mean": value}
                line |= {
                    "n_frames": lengths[i],
                    "status": "ok" if value is not None else "undefined",
                }
                long.append(line | dict(videos or {}))
            known = [(v, n) for v, n in zip(values, lengths) if v is not None]
            counts = [n for _, n in known] if average == "micro" else [1] * len(known)
            row[metric] = sum(v * n for (v, _), n in zip(known, counts)) / sum(counts)
        rows.append(row | dict((cells or {}).get(method, {})))
    folder.mkdir()
    (folder / "leaderboard.csv").write_text("".join(csv_lines(LEADERBOARD, rows)))
    (folder / "per_video.csv").write_text("".join(csv_lines(PER_VIDEO, long)))
    protocol = {"average": average, "bootstrap_draws": 2000}
    (folder / "manifest.json").write_text(json.dumps({"protocol": protocol}))
    return folder


def _compare(folder: Path, a: str = "a", b: str = "b", **options: Any) -> Comparison:
    run = read_run(folder)
    return compare(pick(run, a), pick(run, b), **options)


def _noise(seed: int, n: int, mean: float = 25.0, spread: float = 2.0) -> list[float]:
    return np.random.default_rng(seed).normal(mean, spread, n).tolist()


def test_a_comparison_gives_the_difference_and_scipys_test_of_it(tmp_path: Path) -> None:
    a = _noise(1, 12)
    b = [x + d for x, d in zip(a, _noise(2, 12, 0.5, 0.4))]
    (one,) = _compare(_run(tmp_path / "run", {"a": {"psnr": a}, "b": {"psnr": b}})).differences
    gain = np.array(b) - np.array(a)
    test = stats.ttest_rel(b, a)
    assert one.difference == pytest.approx(gain.mean(), rel=1e-12)
    assert (one.mean_a, one.mean_b) == pytest.approx((np.mean(a), np.mean(b)), rel=1e-12)
    wanted = test.confidence_interval(0.95)
    assert (one.t_lo, one.t_hi) == pytest.approx((wanted.low, wanted.high), rel=1e-9)
    permuted = stats.permutation_test(
        (gain,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert one.p == pytest.approx(permuted.pvalue, rel=1e-12)
    assert (one.b_wins, one.a_wins, one.equal) == ((gain > 0).sum(), (gain < 0).sum(), 0)
    assert one.better == "b"


def test_the_clips_that_both_share_cancel_out_of_the_interval(tmp_path: Path) -> None:
    a = _noise(3, 15, spread=5)
    b = [x + 0.2 + d for x, d in zip(a, _noise(4, 15, 0, 0.1))]
    (one,) = _compare(_run(tmp_path / "run", {"a": {"psnr": a}, "b": {"psnr": b}})).differences
    assert one.ci_lo is not None and one.ci_hi is not None
    assert 0 < one.ci_lo < 0.2 < one.ci_hi + 0.1
    assert one.ci_hi - one.ci_lo < 0.2 < np.std(a) / np.sqrt(15)  # unpaired it would be lost


def test_variants_of_one_source_are_one_observation(tmp_path: Path) -> None:
    a, gain = _noise(5, 8), _noise(6, 8, 0.3, 0.5)
    once = {"a": {"psnr": a}, "b": {"psnr": [x + g for x, g in zip(a, gain)]}}
    thrice = {m: {"psnr": [v for v in s["psnr"] for _ in range(3)]} for m, s in once.items()}
    (single,) = _compare(_run(tmp_path / "one", once)).differences
    (triple,) = _compare(_run(tmp_path / "three", thrice, variants=3)).differences
    assert (single.n_videos, triple.n_videos) == (8, 24)
    assert single.n_sources == triple.n_sources == 8
    for name in ("ci_lo", "ci_hi", "t_lo", "t_hi", "p", "detectable"):
        assert getattr(single, name) == pytest.approx(getattr(triple, name), rel=1e-9)


def test_a_mean_over_frames_weighs_videos_by_their_frames(tmp_path: Path) -> None:
    frames = [1, 3, 10, 2, 4, 6]
    a, b = _noise(7, 6), _noise(8, 6)
    run = _run(
        tmp_path / "run", {"a": {"psnr": a}, "b": {"psnr": b}}, average="micro", frames=frames
    )
    (one,) = _compare(run).differences
    wanted = np.repeat(np.array(b) - a, frames).mean()
    assert one.difference == pytest.approx(wanted, rel=1e-12)


def test_swapping_the_two_turns_every_sign_and_no_p(tmp_path: Path) -> None:
    run = _run(tmp_path / "run", {"a": {"psnr": _noise(9, 11)}, "b": {"psnr": _noise(10, 11)}})
    (one,), (other,) = _compare(run).differences, _compare(run, "b", "a").differences
    assert one.difference == -other.difference
    assert (one.ci_lo, one.ci_hi) == pytest.approx((-(other.ci_hi or 0), -(other.ci_lo or 0)))
    assert (one.p, one.b_wins) == (other.p, other.a_wins)


def test_a_lower_lpips_wins(tmp_path: Path) -> None:
    a = _noise(11, 10, 0.3, 0.01)
    run = _run(tmp_path / "run", {"a": {"lpips": a}, "b": {"lpips": [x - 0.1 for x in a]}})
    (one,) = _compare(run).differences
    assert (one.b_wins, one.a_wins, one.better) == (10, 0, "b")
    assert one.difference == pytest.approx(-0.1)


def test_nobody_is_better_by_a_warping_error_which_a_blur_has_below_the_truths(
    tmp_path: Path,
) -> None:
    a = _noise(11, 10, 0.01, 0.001)
    scores = {"a": {"warp_err": a}, "b": {"warp_err": [x / 2 for x in a]}}
    found = _compare(_run(tmp_path / "run", scores), metrics=["warp_err"])
    (one,) = found.differences
    assert (one.better, one.b_wins, one.a_wins, one.equal) == ("", None, None, None)
    assert one.p_holm == 2 / 2**10
    told = text(found)
    assert "warping error: the two differ; neither way is better" in told
    assert "*" not in told.replace("* B is worse", "") and "↓" not in told


def test_holm_counts_the_metrics_that_were_compared(tmp_path: Path) -> None:
    a = _noise(12, 9)
    b = [x + 0.5 for x in a]
    scores = {"a": {"psnr": a, "ssim": [0.5] * 9}, "b": {"psnr": b, "ssim": [0.5] * 9}}
    run = _run(tmp_path / "run", scores)
    both, alone = _compare(run).differences, _compare(run, metrics=["psnr"]).differences
    assert [one.p_holm for one in alone] == [2 / 2**9]
    assert [one.p_holm for one in both] == [4 / 2**9, 1.0]
    assert both[1].equal == 9 and both[1].better == ""


def test_videos_where_a_metric_is_undefined_for_both_are_passed_over(tmp_path: Path) -> None:
    scores = {"a": {"psnr": [1.0, None, 3.0]}, "b": {"psnr": [2.0, None, 5.0]}}
    (one,) = _compare(_run(tmp_path / "run", scores)).differences
    assert (one.n_videos, one.difference) == (2, 1.5)
    scores["b"] = {"psnr": [2.0, 1.0, 5.0]}
    with pytest.raises(InputError, match=r"'b' of .* has psnr of video test/00001"):
        _compare(_run(tmp_path / "other", scores))


@pytest.mark.parametrize(
    ("shared", "message"),
    [
        ({"protocol_hash": "ba9876543210"}, "another protocol than .*: p-1 ba98.*, not p-1 0123"),
        ({"dataset_manifest_sha256": "e" * 64}, "other frames than .*: eeeeeeeeeeee, not ffff"),
        ({"split": "train"}, "another split .*: train, not test"),
        ({"dataset": "rvsd"}, "another dataset .*: rvsd, not demo"),
        ({"benchmark_version": "2"}, "another version of the benchmark .*: 2, not 1"),
        ({"weights_lpips": "d" * 64}, "lpips .* computed with other weights"),
        ({"videos": {"source_id": "x"}}, "source_id of video test/00000 is .* not the same"),
        ({"videos": {"n_frames": 4}}, "n_frames of video test/00000"),
    ],
)
def test_what_was_not_scored_alike_is_refused_in_a_line(
    shared: dict[str, Any], message: str, tmp_path: Path
) -> None:
    scores = {"a": {"lpips": [0.1, 0.2]}}
    first = read_run(_run(tmp_path / "one", scores))
    second = read_run(_run(tmp_path / "two", scores, **shared))
    with pytest.raises(InputError, match=message) as caught:
        compare(pick(first, None), pick(second, None))
    assert "\n" not in str(caught.value)


def test_an_incomplete_video_or_a_changed_table_is_refused(tmp_path: Path) -> None:
    scores = {"a": {"psnr": [1.0, 2.0]}, "b": {"psnr": [2.0, 3.0]}}
    run = _run(tmp_path / "run", scores, videos={"status": "incomplete"})
    with pytest.raises(InputError, match="no score for some frames of test/00000"):
        _compare(run)
    run = _run(tmp_path / "other", scores, cells={"b": {"psnr": 7.0}})
    with pytest.raises(InputError, match=r"gives 2.5 as the psnr of 'b' and leaderboard.csv 7;"):
        _compare(run)


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (None, "does not hold the 'average' of protocol p-1"),
        ({"average": "median", "bootstrap_draws": 10}, "no such average: 'median'"),
        ({"average": "macro", "bootstrap_draws": "10"}, "no number of draws: '10'"),
    ],
)
def test_a_manifest_that_does_not_say_how_to_average_is_refused(
    protocol: object, message: str, tmp_path: Path
) -> None:
    run = _run(tmp_path / "run", {"a": {"psnr": [1.0, 2.0]}, "b": {"psnr": [2.0, 3.0]}})
    (run / "manifest.json").write_text(json.dumps({"protocol": protocol}))
    with pytest.raises(InputError, match=message):
        _compare(run)


def test_a_board_of_several_protocols_and_frames_is_tested_as_its_runs_are(tmp_path: Path) -> None:
    ladder = _ladder()
    runs = [
        _run(tmp_path / "one", {m: ladder[m] for m in ("top", "low")}),
        _run(tmp_path / "two", {m: ladder[m] for m in ("near top", "middle", "near middle")}),
        _run(tmp_path / "three", _ladder(8), dataset_manifest_sha256="e" * 64),
        _run(tmp_path / "four", ladder, average="micro", protocol_hash="ba9876543210"),
    ]
    for run in runs:
        facts = json.loads((run / "manifest.json").read_text())
        facts["protocol"]["hash"] = read_run(run).rows[0]["protocol_hash"]
        (run / "manifest.json").write_text(json.dumps(facts))
        add(run, tmp_path / "board")
    apart, together = build(runs, tmp_path / "a"), build([tmp_path / "board"], tmp_path / "b")
    assert [_ties(part) for part in together] == [_ties(part) for part in apart]
    assert [part.pairs for part in together] == [part.pairs for part in apart]
    assert all("1" in _ties(part).values() for part in together)
    with pytest.raises(InputError, match="'top' on several sets of frames"):
        pick(read_run(tmp_path / "board"), "top")


def test_methods_are_chosen_by_id_or_by_the_name_that_tables_show(tmp_path: Path) -> None:
    one = {"psnr": [1.0, 2.0]}
    cells = {
        "identity": {"source": "input"},
        "c@1": {"method_name": "c"},
        "c@2": {"method_name": "c"},
    }
    run = read_run(
        _run(tmp_path / "run", dict.fromkeys(("a", "identity", "c@1", "c@2"), one), cells=cells)
    )
    assert pick(run, "Input").row["method_id"] == "identity"
    assert pick(run, "c@2").row["method_id"] == "c@2"
    with pytest.raises(InputError, match=r"2 rows .* called 'c'.*c@1, c@2"):
        pick(run, "c")
    with pytest.raises(InputError, match=r"4 methods: a, identity, c@1, c@2; choose by --a"):
        pick(run, None)
    with pytest.raises(InputError, match=r"no method in .* named 'identiy'. Did you mean 'identi"):
        pick(run, "identiy")
    with pytest.raises(InputError, match="compared with itself"):
        compare(pick(run, "a"), pick(run, "a"))


def test_few_sources_untrained_and_oracle_rows_are_warned_of(tmp_path: Path) -> None:
    scores = {"a": {"psnr": _noise(1, 4)}, "b": {"psnr": _noise(2, 4)}}
    cells = {"a": {"trained": False}, "b": {"source": "oracle", "valid": False, "notes": "limited"}}
    found = _compare(_run(tmp_path / "run", scores, cells=cells))
    text = "\n".join(found.warnings)
    assert "only 4 source clips: no p can be below 0.125" in text
    assert "a was never trained" in text
    assert "b was fitted to the ground truth" in text and "limited" in text
    enough = {m: {"psnr": _noise(i, 10)} for i, m in enumerate("ab")}
    assert _compare(_run(tmp_path / "enough", enough)).warnings == ()


def test_one_source_has_a_difference_and_no_interval(tmp_path: Path) -> None:
    scores = {"a": {"psnr": [1.0, 2.0]}, "b": {"psnr": [2.0, 4.0]}}
    (one,) = _compare(_run(tmp_path / "run", scores, variants=2)).differences
    assert (one.n_sources, one.difference, one.p) == (1, 1.5, 1.0)
    assert (one.ci_lo, one.t_lo, one.detectable) == (None, None, None)


HOSTILE = ["=HYPERLINK(1)", "a,b\"c'\n", "\u202eevil\x1b[31m", "<script>", "x" * 300]


@pytest.mark.parametrize("name", HOSTILE)
def test_the_command_speaks_in_text_json_and_csv_whatever_the_names(
    name: str, tmp_path: Path
) -> None:
    scores = {"a": {"psnr": _noise(1, 7)}, name: {"psnr": _noise(2, 7, 30)}}
    run = _run(tmp_path / "run", scores)
    words = ["compare", str(run), "--a", "a", "--b", name]
    shown = CliRunner().invoke(command, [*words, "--out", str(tmp_path / "out")])
    assert shown.exit_code == 0, shown.output
    assert "is better than a" in shown.stdout
    assert "\u202e" not in shown.stdout and "\x1b" not in shown.stdout
    facts = json.loads(CliRunner().invoke(command, [*words, "--json"]).stdout)
    assert facts["metrics"][0]["method_b"] == name
    assert len(facts["videos"]) == 7
    table = (tmp_path / "out" / "comparison.csv").read_text(encoding="utf-8")
    (row,) = csv.DictReader(io.StringIO(table, newline=""))
    assert row["method_b"].removeprefix("'") == name
    assert not row["method_b"].startswith("=")
    assert float(row["difference"]) == facts["metrics"][0]["difference"]
    long = (tmp_path / "out" / "comparison_videos.csv").read_text().splitlines()
    assert len(long) == 8


def _ties(group: Group) -> dict[str, str]:
    return {row["method_id"]: row["tie_group"] for row in group.rows}


def _ladder(n: int = 12) -> dict[str, dict[str, list[float]]]:
    """Return five methods: two alike at the top, two alike below, one far down."""
    base = _noise(20, n, spread=4)
    gains = {"top": 3.0, "near top": 2.99, "middle": 2.0, "near middle": 1.99, "low": 0.0}
    return {
        name: {"psnr": [x + gain + d for x, d in zip(base, _noise(30 + i, n, 0, 0.1))]}
        for i, (name, gain) in enumerate(gains.items())
    }


def test_methods_that_cannot_be_told_apart_share_a_tie_group(tmp_path: Path) -> None:
    (part,) = build([_run(tmp_path / "run", _ladder())], tmp_path / "out")
    assert _ties(part) == {
        "top": "1",
        "near top": "1",
        "middle": "2",
        "near middle": "2",
        "low": "3",
    }
    table = csv.DictReader(io.StringIO((tmp_path / "out" / "leaderboard.csv").read_text()))
    assert [row["tie_group"] for row in table] == ["1", "1", "2", "2", "3"]
    for name in ("leaderboard.md", "leaderboard.tex"):
        assert "sign-flip test over 12 source clips" in (tmp_path / "out" / name).read_text()


def test_the_order_of_runs_and_methods_changes_no_byte_of_the_tables(tmp_path: Path) -> None:
    ladder = _ladder()
    first = _run(tmp_path / "one", {m: ladder[m] for m in ("top", "low")})
    second = _run(tmp_path / "two", {m: ladder[m] for m in ("near middle", "middle", "near top")})
    build([first, second], tmp_path / "forth")
    build([second, first], tmp_path / "back")
    for name in ("leaderboard.csv", "leaderboard.json", "leaderboard.md", "leaderboard.tex"):
        assert (tmp_path / "forth" / name).read_bytes() == (tmp_path / "back" / name).read_bytes()


def test_rows_without_a_rank_belong_to_no_tie_group_and_take_no_part(tmp_path: Path) -> None:
    ladder = _ladder()
    scores = dict.fromkeys(("input", "oracle", "born", "broken"), ladder["top"]) | ladder
    cells = {
        "input": {"source": "input"}, "oracle": {"source": "oracle"},
        "born": {"trained": False}, "broken": {"valid": False},
    }  # fmt: skip
    (part,) = build([_run(tmp_path / "run", scores, cells=cells)], tmp_path / "out", reported=True)[
        :1
    ]
    ties = _ties(part)
    assert {ties.pop(name) for name in cells} == {""}
    assert ties["top"] == ties["near top"] == "1" and ties["low"] == "3"


def test_reported_rows_have_no_tie_group_even_beside_runs(tmp_path: Path) -> None:
    groups = build([_run(tmp_path / "run", _ladder())], tmp_path / "out", reported=True)
    assert all(row["tie_group"] == "" for g in groups if g.reported for row in g.rows)


def test_holm_ties_what_a_single_test_would_tell_apart(tmp_path: Path) -> None:
    # Seven sources, all in favour: p = 2 / 2^7 = 0.0156 is enough once, not when four are tested.
    best = _noise(40, 7)
    scores = {"best": {"psnr": best}}
    scores |= {f"m{i}": {"psnr": [x - 0.1 - i / 100 for x in best]} for i in range(4)}
    (part,) = build([_run(tmp_path / "run", scores)], tmp_path / "out")
    assert set(_ties(part).values()) == {"1"}
    (part,) = build(
        [_run(tmp_path / "two", {m: scores[m] for m in ("best", "m3")})], tmp_path / "out"
    )
    assert _ties(part) == {"best": "1", "m3": "2"}
    cells = {f"m{i}": {"trained": False} for i in range(3)}  # these are not tested
    (part,) = build([_run(tmp_path / "three", scores, cells=cells)], tmp_path / "out")
    assert {m: tie for m, tie in _ties(part).items() if tie} == {"best": "1", "m3": "2"}


def test_with_five_sources_everything_ties_and_the_reader_is_told(tmp_path: Path) -> None:
    (part,) = build([_run(tmp_path / "run", _ladder(5))], tmp_path / "out")
    assert set(_ties(part).values()) == {"1"}
    assert "only 5 source clips: no p can be below 0.0625" in part.remarks[0]
    assert "no p can be below" in (tmp_path / "out" / "leaderboard.md").read_text()


def test_missing_references_are_named_and_present_ones_are_not(tmp_path: Path) -> None:
    one = {"psnr": _noise(1, 10)}
    (part,) = build([_run(tmp_path / "bare", {"mine": one})], tmp_path / "out")
    assert "no row of the input, affine, median:" in part.remarks[-1]
    assert "evaluate identity affine median" in part.remarks[-1]
    names = ["identity", "affine", "median?k=5", "mine"]
    cells = {"identity": {"source": "input"}, "mine": {"kind": "video"}}
    run = _run(tmp_path / "whole", dict.fromkeys(names, one), cells=cells)
    (part,) = build([run], tmp_path / "out")
    assert part.remarks == ()
    cells["affine"] = {"source": "oracle"}
    run = _run(tmp_path / "oracle", dict.fromkeys(names, one), cells=cells)
    (part,) = build([run], tmp_path / "out")
    assert "no row of affine:" in part.remarks[0]


def test_one_method_alone_is_tied_with_nobody_and_no_test_is_told_of(tmp_path: Path) -> None:
    (part,) = build([_run(tmp_path / "run", {"a": {"psnr": _noise(1, 12)}})], tmp_path / "out")
    assert part.pairs == ()
    assert "sign-flip" not in (tmp_path / "out" / "leaderboard.md").read_text()


def test_references_are_known_by_what_they_are_whatever_they_are_called(tmp_path: Path) -> None:
    named = {"identity": "identity", "six": "six=affine", "m3": "m3=median?k=3", "mine": "mine"}
    cells = {"identity": {"source": "input"}, "mine": {"kind": "video"}}
    run = _run(tmp_path / "run", {name: {"psnr": _noise(1, 10)} for name in named}, cells=cells)
    facts = json.loads((run / "manifest.json").read_text())
    facts["methods"] = [{"id": name, "spec": spec} for name, spec in named.items()]
    (run / "manifest.json").write_text(json.dumps(facts))
    add(run, tmp_path / "board")
    for folder in (run, tmp_path / "board"):
        (part,) = build([folder], tmp_path / "out")
        assert part.remarks == ()


def test_runs_that_cannot_be_tested_are_still_built_with_a_warning(tmp_path: Path) -> None:
    run = _run(tmp_path / "run", _ladder(), videos={"source_id": None})
    (part,) = build([run], tmp_path / "out")
    assert set(_ties(part).values()) == {""}
    assert any("no tie groups: source_id of video" in remark for remark in part.remarks)
    for path in (tmp_path / "out").iterdir():
        assert str(tmp_path) not in path.read_text()


def test_the_json_holds_numbers_tests_and_warnings(tmp_path: Path) -> None:
    build([_run(tmp_path / "run", _ladder())], tmp_path / "out", reported=True)
    facts = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    group = next(g for g in facts["groups"] if not g["reported"])
    assert [row["rank"] for row in group["rows"]] == [1, 2, 3, 4, 5]
    assert [row["tie_group"] for row in group["rows"]] == [1, 1, 2, 2, 3]
    assert group["rows"][0]["ssim"] is None and group["rows"][0]["valid"] is True
    assert isinstance(group["rows"][0]["psnr"], float)
    pairs = {(p["first"], p["second"]): p for p in group["pairs"]}
    assert len(pairs) == 10
    far = pairs["top", "low"]
    assert far["difference"] == pytest.approx(3, abs=0.2)
    assert far["p"] == 2 / 2**12
    assert (far["first_wins"], far["second_wins"], far["equal"]) == (12, 0, 0)
    assert any("no row of" in warning for warning in group["warnings"])
