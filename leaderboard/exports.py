"""Write groups of rows as Markdown and as plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rvsd_bench.columns import HEADLINES, TEMPORAL
from rvsd_bench.leaderboard.repeats import Repeats, repeats
from rvsd_bench.leaderboard.table import (
    LOWER_IS_BETTER,
    UNPLACED,
    Group,
    Row,
    better,
    display_name,
    headline,
    number,
)

LABELS = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "nima": "NIMA",
    "musiq": "MUSIQ",
    "psnr_snow": "PSNR in snow",
    "psnr_clear": "PSNR beside snow",
    "warp_err": "warping error",
    "tof": "tOF",
    "tlp": "tLP",
    "flicker": "flicker",
}
DECIMALS = {"ssim": 4, "lpips": 4, "nima": 3, "warp_err": 5, "tof": 3, "tlp": 4, "flicker": 4}


def shown(metric: str, value: float | None) -> str:
    """Return a value with the decimals that papers print for its metric."""
    return "–" if value is None else f"{value:.{DECIMALS.get(metric, 2)}f}"


def signed(metric: str, value: float) -> str:
    """Return a difference with its sign and the decimals of its metric."""
    return f"{value:+.{DECIMALS.get(metric, 2)}f}"


def arrow(metric: str) -> str:
    """Return which way a metric is better; empty where neither way is."""
    if metric in UNPLACED:
        return ""
    return "↓" if metric in LOWER_IS_BETTER else "↑"


def title(group: Group) -> str:
    """Say in words what a group compares."""
    where = f"{group.dataset}, {group.split}"
    if not group.reported:
        return f"{where}: measured under {group.protocol} ({group.protocol_hash})"
    if group.protocol == "unstated":
        return f"{where}: reported by {source_of(group)}, protocol unstated"
    return f"{where}: reported by {source_of(group)} under {group.protocol}"


def counts(group: Group) -> str:
    """Say on how much a group was measured; an empty text where that is not known."""
    told = {column: f"{n:,} {word}" for column, (n, word) in sizes(group).items()}
    of = f" of {told['n_sources']}" if "n_sources" in told else ""
    videos = f"{told['n_videos']}{of}" if "n_videos" in told else ""
    return ", ".join(text for text in (videos, told.get("n_frames", "")) if text)


def sizes(group: Group) -> dict[str, tuple[int, str]]:
    """Return column -> the most of any row, since a withheld one has less, and what is counted."""
    found = {}
    words = {"n_videos": "video", "n_frames": "frame", "n_sources": "source clip"}
    for column, word in words.items():
        n = max((int(number(row, column) or 0) for row in group.rows), default=0)
        if n:
            found[column] = n, f"{word}{'s' * (n != 1)}"
    return found


def source_of(group: Group) -> str:
    """Return where the figures of a reported group were published."""
    return group.rows[0]["source_ref"]


def footnotes(group: Group) -> list[str]:
    """Return what a reader must know about the rows that carry no rank."""
    notes = []
    if group.reported:
        ranked = any(row["rank"] for row in group.rows)
        how = "ranked among themselves, never" if ranked else "never ranked"
        notes.append(f"† reported by others, not measured here; {how} with measured rows")
    for row in group.rows:
        name = display_name(row)
        if row["source"] == "oracle":
            notes.append(f"{name}: fitted to the ground truth itself, an upper bound and no method")
        if row["valid"] == "false":
            notes.append(f"{name}: not ranked{': ' + row['notes'] if row['notes'] else ''}")
        if row["trained"] == "false":
            notes.append(f"{name}: its network was never trained; the figures mean nothing")
    notes += [_over_seeds(found) for found in repeats(group)]
    return notes + ([ties(group)] if has_ties(group) and group.pairs else []) + still(group)


def _over_seeds(found: Repeats) -> str:
    """Say how far the scores of a method scatter when it is trained again."""
    scores = (
        f"{LABELS[metric]} {shown(metric, mean)} ± {shown(metric, spread)}"
        for metric, (mean, spread) in found.scores.items()
        if metric in HEADLINES
    )
    return (
        f"{found.name}, trained from the seeds {', '.join(found.seeds)}: {', '.join(scores)} (mean "
        "± standard deviation over trainings; intervals are over source clips)"
    )


def still(group: Group) -> list[str]:
    """Say what the temporal metrics make of the truth itself and of a clip that stands still."""
    values = {m: shown(m, value) for m, value in of_truth(group).items()}
    notes = []
    if floor := values.pop("warp_err", ""):
        notes.append(
            f"The ground truth's own {LABELS['warp_err']} is {floor}: nearer to it is better, "
            "and a figure below it tells of blur or pale contrast, so that none is marked as best"
        )
    if values:
        moved = ", ".join(f"{LABELS[m]} {value}" for m, value in values.items())
        notes.append(f"The ground truth scores 0, and a clip that stands still: {moved}")
    return notes


def of_truth(group: Group) -> dict[str, float]:
    """Return the clean clips' own value of each metric of time, where a row tells it."""
    found = {}
    for metric in TEMPORAL:
        own = (number(row, f"{metric}_truth") for row in group.rows)
        if (value := next((v for v in own if v is not None), None)) is not None:
            found[metric] = value
    return found


def has_ties(group: Group) -> bool:
    """Tell whether the rows of a group were tested against each other."""
    return any(row["tie_group"] for row in group.rows)


def ties(group: Group) -> str:
    """Say what a tie group is, and how small a difference could have been found."""
    metric = headline(group.rows)
    ranked = {row["method_id"] for row in group.rows if row["rank"]}
    tests = [one for one in group.pairs if one.first in ranked and one.second in ranked]
    n = max(one.n_sources for one in group.pairs)
    text = (
        "Tie: methods that share a number cannot be told from the best of them on "
        f"{LABELS[metric]} (sign-flip test over {n} source clip{'s' * (n != 1)}, Holm, 0.05)"
    )
    floors = [one.detectable for one in tests if one.detectable is not None]
    if not floors:
        return text
    low, high = shown(metric, min(floors)), shown(metric, max(floors))
    between = low if low == high else f"{low} to {high}, depending on the pair"
    return f"{text}; smallest difference that would be found 8 times of 10: {between}"


def placed(group: Group) -> dict[str, list[float]]:
    """Return, for each metric, the two best values among the rows that may be compared."""
    rows = [r for r in group.rows if group.reported or r["rank"]]
    best: dict[str, list[float]] = {}
    for metric in group.metrics:
        if metric in UNPLACED:
            best[metric] = []
            continue
        values = {v for r in rows if (v := number(r, metric)) is not None and r["kind"] != "input"}
        best[metric] = sorted(values, reverse=metric not in LOWER_IS_BETTER)[:2]
        assert len(best[metric]) < 2 or better(metric, *best[metric])
    return best


def markdown(groups: Sequence[Group]) -> str:
    """Return all groups as Markdown tables, best in bold."""
    return "\n".join(["# Leaderboard", *(_markdown_table(g) for g in groups)])


def _markdown_table(group: Group) -> str:
    metrics, best = group.metrics, placed(group)
    lines = [f"\n## {_plain(title(group))}\n"]
    lines += [f"{size}\n"] if (size := counts(group)) else []
    tied = has_ties(group)
    heads = [f"{LABELS[m]} {arrow(m)}".rstrip() for m in metrics]
    lines.append(_row("Rank", *(["Tie"] if tied else []), "Method", *heads))
    lines.append(_row("---", *(["---"] if tied else []), "---", *("---:" for _ in metrics)))
    for row in group.rows:
        cells = [
            f"{marked(row, m, best[m], _bold, _underlined)} {interval(row, m)}".rstrip()
            for m in metrics
        ]
        places = [row["rank"] or "–", *([row["tie_group"] or "–"] if tied else [])]
        lines.append(_row(*places, _plain(full_name(row)), *cells))
    remarks = [f"- Warning: {_plain(remark)}" for remark in group.remarks]
    return "\n".join([*lines, "", *(f"- {_plain(note)}" for note in footnotes(group)), *remarks])


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _bold(text: str) -> str:
    return f"**{text}**"


def _underlined(text: str) -> str:
    return f"<ins>{text}</ins>"


def full_name(row: Row) -> str:
    """Return a row's name with its venue, and a dagger where others reported its figures."""
    dagger = " †" if row["source"] == "reported" else ""
    venue = f" ({row['venue']} {row['year']})" if row["venue"] else ""
    return f"{display_name(row)}{venue}{dagger}"


def marked(
    row: Row,
    metric: str,
    best: list[float],
    first: Callable[[str], str],
    second: Callable[[str], str],
) -> str:
    """Return a value, marked by `first` or `second` where it is so placed."""
    text = shown(metric, number(row, metric))
    mark = {"first": first, "second": second}.get(place(row, metric, best))
    return mark(text) if mark else text


def place(row: Row, metric: str, best: list[float]) -> str:
    """Return `first` or `second` if a row's value is one of the `best`, else an empty text."""
    value = number(row, metric)
    takes_part = row["source"] == "reported" or row["rank"] != ""
    if value is None or value not in best or row["kind"] == "input" or not takes_part:
        return ""
    return "first" if value == best[0] else "second"


def interval(row: Row, metric: str) -> str:
    """Return a value's interval in brackets, an empty text where there is none."""
    low, high = number(row, f"{metric}_ci_lo"), number(row, f"{metric}_ci_hi")
    if low is None or high is None:
        return ""
    return f"[{shown(metric, low)}, {shown(metric, high)}]"


def _plain(text: str) -> str:
    """Escape what Markdown or HTML inside it would act on."""
    text = one_line(text)
    for mark in "\\&`*_{}[]<>|#~$":
        text = text.replace(mark, f"\\{mark}" if mark not in "<>" else f"&{'lg'[mark == '>']}t;")
    return text


def text_table(group: Group) -> str:
    """Return a group as aligned plain text, for a terminal."""
    metrics, tied = group.metrics, has_ties(group)
    lines = [["rank", *(["tie"] if tied else []), "method", *(LABELS[m] for m in metrics)]]
    for row in group.rows:
        values = [shown(m, number(row, m)) for m in metrics]
        places = [row["rank"] or "–", *([row["tie_group"] or "–"] if tied else [])]
        lines.append([*places, one_line(full_name(row)), *values])
    warnings = [f"warning: {remark}" for remark in group.remarks]
    table = aligned(lines, left=3 if tied else 2)
    return "\n".join([title(group), *table, *footnotes(group), *warnings]) + "\n"


def aligned(lines: Iterable[Sequence[str]], *, left: int) -> list[str]:
    """Return rows of cells as lines of text, all but the `left` first columns to the right."""
    table = list(lines)
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths))
        ).rstrip()
        for line in table
    ]


def one_line(text: str) -> str:
    """Return a text without line ends and without what steers a terminal or turns its writing."""
    words = "".join(mark if mark.isprintable() else " " for mark in text)
    return " ".join(words.split())
