"""Write groups of rows as Markdown and as LaTeX (booktabs)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rvsd_bench.leaderboard.table import LOWER_IS_BETTER, Group, Row, better, display_name, number

LABELS = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "nima": "NIMA",
    "musiq": "MUSIQ",
    "psnr_snow": "PSNR in snow",
    "psnr_clear": "PSNR beside snow",
}
DECIMALS = {"ssim": 4, "lpips": 4, "nima": 3}


def shown(metric: str, value: float | None) -> str:
    """Return a value with the decimals that papers print for its metric."""
    return "–" if value is None else f"{value:.{DECIMALS.get(metric, 2)}f}"


def title(group: Group) -> str:
    """Say in words what a group compares."""
    where = f"{group.dataset}, {group.split}"
    if not group.reported:
        return f"{where}: measured under {group.protocol} ({group.protocol_hash})"
    if group.protocol == "unstated":
        return f"{where}: reported by {source_of(group)}, protocol unstated"
    return f"{where}: reported by {source_of(group)} under {group.protocol}"


def source_of(group: Group) -> str:
    """Return where the figures of a reported group were published."""
    return group.rows[0]["source_ref"]


def footnotes(group: Group) -> list[str]:
    """Return what a reader must know about the rows that carry no rank."""
    notes = []
    if group.reported:
        notes.append("† reported by others, not measured here; never ranked with measured rows")
    for row in group.rows:
        name = display_name(row)
        if row["source"] == "oracle":
            notes.append(f"{name}: fitted to the ground truth itself, an upper bound and no method")
        if row["valid"] == "false":
            notes.append(f"{name}: not ranked{': ' + row['notes'] if row['notes'] else ''}")
        if row["trained"] == "false":
            notes.append(f"{name}: its network was never trained; the figures mean nothing")
    return notes


def placed(group: Group) -> dict[str, list[float]]:
    """Return, for each metric, the two best values among the rows that may be compared."""
    rows = [r for r in group.rows if group.reported or r["rank"]]
    best: dict[str, list[float]] = {}
    for metric in group.metrics:
        values = {v for r in rows if (v := number(r, metric)) is not None and r["kind"] != "input"}
        best[metric] = sorted(values, reverse=metric not in LOWER_IS_BETTER)[:2]
        assert len(best[metric]) < 2 or better(metric, *best[metric])
    return best


def markdown(groups: Sequence[Group]) -> str:
    """Return all groups as Markdown tables, best in bold."""
    return "\n".join(["# Leaderboard", *(_markdown_table(g) for g in groups)])


def _markdown_table(group: Group) -> str:
    metrics, best = group.metrics, placed(group)
    arrows = {m: "↓" if m in LOWER_IS_BETTER else "↑" for m in metrics}
    lines = [f"\n## {_plain(title(group))}\n"]
    lines.append(_row("Rank", "Method", *(f"{LABELS[m]} {arrows[m]}" for m in metrics)))
    lines.append(_row("---", "---", *("---:" for _ in metrics)))
    for row in group.rows:
        cells = [_interval(row, m, best[m], _bold, str) for m in metrics]
        lines.append(_row(row["rank"] or "–", _plain(_name(row)), *cells))
    return "\n".join([*lines, "", *(f"- {_plain(note)}" for note in footnotes(group))])


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _bold(text: str) -> str:
    return f"**{text}**"


def _name(row: Row) -> str:
    dagger = " †" if row["source"] == "reported" else ""
    venue = f" ({row['venue']} {row['year']})" if row["venue"] else ""
    return f"{display_name(row)}{venue}{dagger}"


def _interval(
    row: Row,
    metric: str,
    best: list[float],
    first: Callable[[str], str],
    second: Callable[[str], str],
) -> str:
    value = number(row, metric)
    text = shown(metric, value)
    if value is not None and value in best and row["kind"] != "input" and _may_win(row):
        text = (first if value == best[0] else second)(text)
    low, high = number(row, f"{metric}_ci_lo"), number(row, f"{metric}_ci_hi")
    if low is None or high is None:
        return text
    return f"{text} [{shown(metric, low)}, {shown(metric, high)}]"


def _may_win(row: Row) -> bool:
    return row["source"] == "reported" or row["rank"] != ""


def _plain(text: str) -> str:
    """Escape what Markdown or HTML inside it would act on."""
    for mark in "\\`*_{}[]<>|#~$":
        text = text.replace(mark, f"\\{mark}" if mark not in "<>" else f"&{'lg'[mark == '>']}t;")
    return " ".join(text.split())


_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "[": "{[}", "*": "{*}",  # after the end of a row these two would be its options
    "†": r"$^\dagger$", "–": "--", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def latex(groups: Sequence[Group]) -> str:
    """Return all groups as LaTeX tables: best bold, second underlined, a dagger for reported."""
    head = "% Needs \\usepackage{booktabs}. Made by: rvsd-bench leaderboard build\n"
    return head + "\n".join(_latex_table(g) for g in groups)


def _latex_table(group: Group) -> str:
    metrics, best = group.metrics, placed(group)
    arrows = {m: r"$\downarrow$" if m in LOWER_IS_BETTER else r"$\uparrow$" for m in metrics}
    lines = [
        r"\begin{table}[t]\centering",
        rf"\caption{{{_tex(title(group))}}}",
        rf"\begin{{tabular}}{{l{'r' * len(metrics)}}}\toprule",
        " & ".join(["Method", *(f"{LABELS[m]} {arrows[m]}" for m in metrics)]) + r" \\\midrule",
    ]
    for row in group.rows:
        cells = [_tex_cell(row, m, best[m]) for m in metrics]
        lines.append(" & ".join([_tex(_name(row)), *cells]) + r" \\")
    lines += [r"\bottomrule\end{tabular}"]
    lines += [rf"\par\footnotesize {_tex(note)}" for note in footnotes(group)]
    return "\n".join([*lines, r"\end{table}", ""])


def _tex_cell(row: Row, metric: str, best: list[float]) -> str:
    text = _interval(
        row, metric, best, lambda t: rf"\textbf{{{t}}}", lambda t: rf"\underline{{{t}}}"
    )
    value, bracket, interval = text.partition(" [")
    value = value.replace("–", "--")
    return f"{value} {{\\scriptsize [{interval}}}" if bracket else value


def _tex(text: str) -> str:
    return "".join(_TEX.get(mark, mark) for mark in " ".join(text.split()))


def text_table(group: Group) -> str:
    """Return a group as aligned plain text, for a terminal."""
    metrics = group.metrics
    lines = [["rank", "method", *(LABELS[m] for m in metrics)]]
    for row in group.rows:
        values = [shown(m, number(row, m)) for m in metrics]
        lines.append([row["rank"] or "–", display_name(row), *values])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([title(group), *text, *footnotes(group)]) + "\n"
