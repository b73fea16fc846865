"""The tables in LaTeX: that they compile, and that no name in them is anything but text."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rvsd_bench.columns import LEADERBOARD
from rvsd_bench.leaderboard.latex import latex
from rvsd_bench.leaderboard.table import Row, group, reported_rows

HOSTILE = [
    r"100% \cmd{x} & $y$ #1 ~ ^ _",
    r"\end{tabular}\input{/etc/passwd}",
    r"\write18{touch pwned}",
    "[2em]",
    "*",
    "}}{{",
    "%",
    "a\\\\",
    "^^5cinput",
    "<|>\"'`?`!`--",
    "\u202eevil\x00\x1b[31m",
    "line\n\nbreak\r",
    "Ångström é ß",
    "-1",
    "x" * 300,
    "& & &",
    r"\hline",
    "",
]


def _row(name: str, psnr: float, **cells: str) -> Row:
    row = dict.fromkeys(LEADERBOARD, "") | {
        "method_id": name, "method_name": name, "protocol": "rvsd-2023", "protocol_hash": "0a",
        "dataset": "demo_1 & 2", "split": "test", "source": "measured", "valid": "true",
        "psnr": repr(psnr), "psnr_ci_lo": repr(psnr - 1), "psnr_ci_hi": repr(psnr + 1),
        "tie_group": "",
    }  # fmt: skip
    return row | cells


def _hostile() -> str:
    rows = [_row(name, 20.0 + i, tie_group="1") for i, name in enumerate(HOSTILE)]
    rows.append(_row("broken", 9.0, valid="false", notes=HOSTILE[0]))
    return latex(group([*rows, *reported_rows()]))


def _unescaped(text: str, marks: str) -> list[str]:
    return re.findall(rf"(?<!\\)[{marks}]", text)


def test_every_row_has_the_cells_of_its_table_and_every_brace_its_mate() -> None:
    text = _hostile()
    body = re.sub(r"(?m)^%.*$", "", text)
    for table in body.split(r"\begin{table}")[1:]:
        lines = [line for line in table.splitlines() if re.search(r"\\\\(\\midrule)?$", line)]
        columns = re.search(r"\\begin\{tabular\}\{([lcr]+)\}", table)
        assert columns is not None and len(lines) > 2
        assert {len(_unescaped(line, "&")) for line in lines} == {len(columns[1]) - 1}
        assert len(_unescaped(table, "{")) == len(_unescaped(table, "}"))
    assert not _unescaped(body, "%#~")


def test_the_only_commands_are_those_of_the_table() -> None:
    named = set(re.findall(r"\\([A-Za-z]+)", _hostile()))
    assert " ".join(sorted(named)) == (
        "addlinespace begin bottomrule caption centering dagger downarrow end footnotesize midrule "
        "par raggedright scriptsize setlength small smallskip tabcolsep textasciicircum "
        "textasciitilde textbackslash textbar textbf textgreater textless toprule underline "
        "uparrow usepackage"
    )


def test_names_in_scripts_that_pdflatex_lacks_are_announced() -> None:
    plain, foreign = (latex(group([_row(name, 20.0)])) for name in ("Ångström", "雪"))
    assert "XeLaTeX" not in plain
    assert "XeLaTeX" in foreign and "雪" in foreign


def test_reported_figures_carry_a_dagger() -> None:
    lines = [line for line in latex(group(reported_rows())).splitlines() if "SemiVDN (ECCV" in line]
    rows = [line for line in lines if line.endswith(r"\\")]
    assert rows and all(r"$^\dagger$" in line for line in rows)


def test_the_tables_compile(tmp_path: Path) -> None:
    tex = shutil.which("pdflatex") or shutil.which("tectonic")
    if tex is None:
        pytest.skip("neither pdflatex nor tectonic is installed: the tables were not compiled")
    text = _hostile().replace(r"\centering\small", r"\centering\tiny")
    head = "\\documentclass[landscape]{article}\n\\usepackage{booktabs}\n"
    (tmp_path / "page.tex").write_text(f"{head}\\begin{{document}}\n{text}\\end{{document}}\n")
    words = [tex, "page.tex"]
    if Path(tex).name == "pdflatex":
        words[1:1] = ["-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "page.pdf").stat().st_size > 10_000
    assert not (tmp_path / "pwned").exists()


def test_the_caption_names_protocol_and_numbers_and_says_what_the_marks_mean() -> None:
    sizes = {"n_videos": "12", "n_sources": "4", "n_frames": "1600"}
    (line,) = re.findall(r"(?m)^\\caption.*$", latex(group([_row("a", 20.0, **sizes)])))
    assert line == (
        r"\caption{demo\_1 \& 2, test: measured under rvsd-2023 (0a), on 12 videos of 4 source "
        r"clips, 1,600 frames; best bold, second underlined; in brackets 95 \% intervals over "
        r"source clips}"
    )
    one = {"n_videos": "1", "n_sources": "1", "n_frames": "1"}
    assert "on 1 video of 1 source clip, 1 frame;" in latex(group([_row("a", 20.0, **one)]))
    reported = latex(group(reported_rows()))
    assert "semivdn-2024; best bold, second underlined}" in reported
    assert "interval" not in reported


def test_intervals_stand_small_below_the_values_that_they_belong_to() -> None:
    body = latex(group([_row("a", 20.0), _row("b", 19.0, rank="2")]))
    assert (
        "a & \\textbf{20.00} \\\\\n"
        " & {\\scriptsize [19.00, 21.00]} \\\\\n"
        "\\addlinespace[2pt]\n"
        "b & \\underline{19.00} \\\\\n"
    ) in body
