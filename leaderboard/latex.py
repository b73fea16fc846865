"""Write groups of rows as LaTeX tables (booktabs)."""

from __future__ import annotations

from collections.abc import Sequence

from rvsd_bench.leaderboard.exports import (
    LABELS,
    arrow,
    counts,
    footnotes,
    full_name,
    has_ties,
    interval,
    marked,
    one_line,
    placed,
    title,
)
from rvsd_bench.leaderboard.table import Group, Row

_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "[": "{[}", "*": "{*}",  # after the end of a row these two would be its options
    "†": r"$^\dagger$", "±": r"$\pm$", "–": "--", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}",
}  # fmt: skip
_HEAD = """% Made by: rvsd-bench leaderboard build
% Needs \\usepackage{booktabs}.
"""
_BEYOND = "% Some names hold letters that pdfLaTeX does not know: use XeLaTeX or LuaLaTeX.\n"


def latex(groups: Sequence[Group]) -> str:
    """Return all groups as LaTeX tables: best bold, second underlined, a dagger for reported."""
    text = "\n".join(_table(g) for g in groups)
    foreign = any(ord(mark) > 0x17F for mark in text)  # beyond Latin Extended-A
    return _HEAD + (_BEYOND if foreign else "") + text


def _table(group: Group) -> str:
    metrics, best, tied = group.metrics, placed(group), has_ties(group)
    columns = "l" + "c" * tied + "r" * len(metrics)
    heads = ["Method", *(["Tie"] if tied else []), *(_head(m) for m in metrics)]
    lines = [
        *(f"% Warning: {one_line(remark)}" for remark in group.remarks),
        r"\begin{table}[t]\centering\small\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escaped(_caption(group))}}}",
        rf"\begin{{tabular}}{{{columns}}}\toprule",
        " & ".join(heads) + r" \\\midrule",
    ]
    spaced = any(interval(row, m) for row in group.rows for m in metrics)
    for place, row in enumerate(group.rows):
        lines += [r"\addlinespace[2pt]"] if spaced and place else []
        places = [row["tie_group"] or "--"] if tied else []
        values = [_value(row, m, best[m]) for m in metrics]
        lines.append(" & ".join([escaped(full_name(row)), *places, *values]) + r" \\")
        spans = [interval(row, m) for m in metrics]
        if any(spans):
            blank = [""] * (1 + tied)
            small = [rf"{{\scriptsize {span}}}" if span else "" for span in spans]
            lines.append(" & ".join([*blank, *small]) + r" \\")
    lines += [r"\bottomrule\end{tabular}"]
    lines += [r"\par\smallskip\footnotesize\raggedright"] if footnotes(group) else []
    lines += [rf"\par {escaped(note)}" for note in footnotes(group)]
    return "\n".join([*lines, r"\end{table}", ""])


def _caption(group: Group) -> str:
    """Say what was measured, on how much, and what the marks mean."""
    marks = "best bold, second underlined"
    if any(interval(row, metric) for row in group.rows for metric in group.metrics):
        marks += "; in brackets 95 % intervals over source clips"
    size = counts(group)
    return f"{title(group)}{', on ' + size if size else ''}; {marks}"


def _head(metric: str) -> str:
    """Return a column's head; long ones stand on two lines."""
    mark = {"↓": r" $\downarrow$", "↑": r" $\uparrow$", "": ""}[arrow(metric)]
    word, _, rest = LABELS[metric].partition(" ")
    return rf"\shortstack[r]{{{word}{mark}\\{rest}}}" if rest else f"{word}{mark}"


def _value(row: Row, metric: str, best: list[float]) -> str:
    text = marked(row, metric, best, lambda t: rf"\textbf{{{t}}}", lambda t: rf"\underline{{{t}}}")
    return text.replace("–", "--")


def escaped(text: str) -> str:
    """Return a text as LaTeX sets it, on one line, whatever stands in it."""
    return "".join(_TEX.get(mark, mark) for mark in one_line(text))
