"""Draw the data flow of the three networks, shapes and costs from the modules: `make pictures`.

Which box follows which is written down here; what a box puts out, how many numbers it has learned
and what it costs is measured on the real modules with tensors that have a shape and no values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rvsd_bench.baselines import desnownet, semivdn, svdnet
from rvsd_bench.baselines.desnownet.network import DesnowNet
from rvsd_bench.baselines.semivdn.network import SemiVDN
from rvsd_bench.baselines.svdnet.network import SVDNet

FOLDER = Path(__file__).parent / "baselines"
WIDTH, HEIGHT, ACROSS, DOWN, MARGIN, HEAD = 226, 62, 22, 28, 24, 62


@dataclass(frozen=True)
class Box:
    """One box of a figure; `module` is where it is in the network, none for a formula or frames."""

    key: str
    title: str
    column: float
    row: float
    module: str = ""
    below: str = ""
    """What stands under the title where there is no module to say it."""


@dataclass(frozen=True)
class Arrow:
    """From one box to another: down, or sideways by a lane (in columns) past what is between."""

    start: str
    end: str
    lane: float | None = None


@dataclass(frozen=True)
class Figure:
    """The data flow of a network."""

    name: str
    title: str
    frames: int
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    cut: tuple[float, str, str] | None = None
    """A line below a row, and what is done above and below it."""


@dataclass(frozen=True)
class Cost:
    """What a module puts out and costs."""

    shape: tuple[int, ...]
    parameters: int
    gmacs: float


DESNOWNET = Figure(
    "desnownet",
    "DesnowNet",
    1,
    (
        Box("x", "frame x", 1, 0, below="3 × 256 × 256"),
        Box("d1", "Inception-v4", 1, 1, "describe_snow.0"),
        Box("p1", "dilation pyramid, eq. 3", 1, 2, "describe_snow.1"),
        Box("z", "SE: mask z, eq. 4", 0.5, 3, "recovery.snow"),
        Box("a", "AE: colour a, eq. 4", 1.5, 3, "recovery.aberration"),
        Box("y", "y', eq. 5", 1, 4, below="(x − a·z) / (1 − z)"),
        Box("d2", "Inception-v4 of y', z and a", 1, 5, "describe_scene.0"),
        Box("p2", "dilation pyramid, eq. 3", 1, 6, "describe_scene.1"),
        Box("r", "residual r, eq. 6", 1, 7, "residual"),
        Box("o", "restored frame, eq. 2", 1, 8, below="y' + r"),
    ),
    (
        Arrow("x", "d1"), Arrow("d1", "p1"), Arrow("p1", "z"), Arrow("p1", "a"), Arrow("z", "y"),
        Arrow("a", "y"), Arrow("x", "y", 0.35), Arrow("y", "d2"), Arrow("d2", "p2"),
        Arrow("p2", "r"), Arrow("r", "o"), Arrow("y", "o", 2.2),
    ),
)  # fmt: skip

SVDNET = Figure(
    "svdnet",
    "SVDNet",
    3,
    (
        Box("i", "frames I", 1, 0, below="3 of 3 × 256 × 256"),
        Box("stem", "stem", 1, 1, "stem"),
        Box("enc", "encoder: F", 1, 2, "encoder"),
        Box("q", "snow queries' answers, F_S", 0.4, 3, "snow_queries"),
        Box("m", "mask m", 1, 4, "mask"),
        Box("flow", "flow of neighbours", 2.2, 5.5, "flow"),
        Box("agg", "snow-aware aggregation: G", 1, 6.5, "aggregation"),
        Box("fuse", "fuse F, G, F_S", 1, 7.5, "fuse"),
        Box("trunk", "trunk", 1, 8.5, "trunk"),
        Box("up", "up", 1, 9.5, "up"),
        Box("merge", "merge with the stem", 1, 10.5, "merge"),
        Box("s", "snow S", -0.35, 11.5, "decouple_snow"),
        Box("t", "transmission T", 0.65, 11.5, "decouple_transmission"),
        Box("r", "correction R", 1.65, 11.5, "refine"),
        Box("a", "light A", 2.65, 11.5, "decouple_light"),
        Box("o", "J, eq. 1 inverted", 1, 12.5, below="(I − S − A·(1 − T)) / T + R"),
    ),
    (
        Arrow("i", "stem"), Arrow("stem", "enc"), Arrow("enc", "q"), Arrow("enc", "m"),
        Arrow("q", "m"), Arrow("m", "agg"), Arrow("i", "flow", 2.7), Arrow("flow", "agg"),
        Arrow("enc", "agg", 2.12), Arrow("q", "fuse", -0.1), Arrow("agg", "fuse"),
        Arrow("fuse", "trunk"), Arrow("trunk", "up"), Arrow("up", "merge"),
        Arrow("stem", "merge", -0.3), Arrow("merge", "s"), Arrow("merge", "t"),
        Arrow("merge", "r"), Arrow("trunk", "a", 3.15), Arrow("s", "o"), Arrow("t", "o"),
        Arrow("r", "o"), Arrow("a", "o"),
    ),
    (4.25, "one frame at a time: encode", "for the frames that are kept: decode"),
)  # fmt: skip

SEMIVDN = Figure(
    "semivdn",
    "SemiVDN",
    3,
    (
        Box("i", "frames I", 1, 0, below="3 of 3 × 256 × 256"),
        Box("enc", "ConvNeXt", 1, 1, "encoder"),
        Box("neck", "neck: X", 1, 2, "neck"),
        Box("emb", "patches: tokens", 1, 3, "embed"),
        Box("b0", "attention, fusion, experts", 1, 4, "transform.blocks.0"),
        Box("b1", "attention, fusion, experts", 1, 5, "transform.blocks.1"),
        Box("x", "composition: X^ and P^j", 1, 6, "compose"),
        Box("s", "snow F_S'", -0.1, 7, "decode_snow"),
        Box("t", "transmission F_T'", 0.9, 7, "decode_transmission"),
        Box("a", "light F_A'", 1.9, 7, "decode_light"),
        Box("l", "lift: F_I'", 2.9, 7, "lift"),
        Box("b", "F_B', eq. 6", 1, 8, below="(F_I' − F_S' − (1 − F_T')·F_A') / F_T'"),
        Box("o", "restored frames J", 1, 9, "project"),
    ),
    (
        Arrow("i", "enc"), Arrow("enc", "neck"), Arrow("neck", "emb"), Arrow("emb", "b0"),
        Arrow("b0", "b1"), Arrow("b1", "x"), Arrow("neck", "x", -0.1), Arrow("x", "s"),
        Arrow("x", "t"), Arrow("x", "a"), Arrow("i", "l", 3.4), Arrow("s", "b"), Arrow("t", "b"),
        Arrow("a", "b"), Arrow("l", "b"), Arrow("b", "o"),
    ),
    (3, "one frame at a time: encode", "all tokens of a window; then the frames that are kept"),
)  # fmt: skip

FIGURES = (
    (DESNOWNET, DesnowNet, desnownet.PRESETS["default"]),
    (SVDNET, SVDNet, svdnet.PRESETS["default"]),
    (SEMIVDN, SemiVDN, semivdn.PRESETS["default"]),
)

STYLE = """
svg { font: 13px system-ui, "Segoe UI", Roboto, sans-serif; }
.paper { fill: #ffffff; } .ink { fill: #17202a; } .soft { fill: #5b6875; }
.module { fill: #e8f0fa; stroke: #1d62b4; } .formula { fill: #fdf4df; stroke: #b07d06; }
.arrow { fill: none; stroke: #5b6875; stroke-width: 1.4; } .head { fill: #5b6875; }
.cut { stroke: #5b6875; stroke-dasharray: 5 5; }
.title { font-weight: 600; } .small { font-size: 11.5px; }
.halo { stroke: #ffffff; stroke-width: 6; paint-order: stroke; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #10151b; } .ink { fill: #e7edf3; } .soft { fill: #a8b5c2; }
  .module { fill: #16283d; stroke: #74b0f4; } .formula { fill: #322a14; stroke: #e3b341; }
  .arrow { stroke: #9aa8b6; } .head { fill: #9aa8b6; } .cut { stroke: #9aa8b6; }
  .halo { stroke: #10151b; }
}
"""


def measure(network: nn.Module, figure: Figure) -> tuple[dict[str, Cost], Cost]:
    """Run a network on frames without values; return the cost of each box, and of all."""
    shapes: dict[str, tuple[int, ...]] = {}

    def keep(name: str) -> None:
        def hook(module: nn.Module, given: object, answer: object) -> None:
            while not isinstance(answer, Tensor):
                answer = answer[-1 if isinstance(answer, list) else 0]  # type: ignore[index]
            shapes[name] = tuple(answer.shape[1:])

        network.get_submodule(name).register_forward_hook(hook)

    for box in figure.boxes:
        if box.module:
            keep(box.module)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, figure.frames, 3, 256, 256, device="meta"))
    counts = counter.get_flop_counts()

    def cost(name: str, module: nn.Module, shape: tuple[int, ...]) -> Cost:
        flops = sum(counts.get(name, {}).values())
        return Cost(shape, sum(p.numel() for p in module.parameters()), flops / 2e9)

    root = type(network).__name__
    costs = {n: cost(f"{root}.{n}", network.get_submodule(n), s) for n, s in shapes.items()}
    return costs, cost(root, network, ())


def draw(figure: Figure, costs: Mapping[str, Cost], whole: Cost) -> str:
    """Return the figure as SVG that is readable on light and on dark pages."""
    left = min(box.column for box in figure.boxes)
    lanes = [arrow.lane for arrow in figure.arrows if arrow.lane is not None]
    left = min([left, *(lane - 0.06 for lane in lanes)])
    right = max([max(box.column for box in figure.boxes) + 1, *(lane + 0.06 for lane in lanes)])
    rows = max(box.row for box in figure.boxes) + 1
    width = round(2 * MARGIN + (right - left) * (WIDTH + ACROSS))
    height = round(HEAD + MARGIN + rows * (HEIGHT + DOWN) - DOWN)

    def place(box: Box) -> tuple[float, float]:
        return _x(box.column - left), HEAD + box.row * (HEIGHT + DOWN)

    boxes = {box.key: (box, *place(box)) for box in figure.boxes}
    of = f"{figure.frames} frames" if figure.frames > 1 else "a frame"
    sizes = f"{whole.parameters / 1e6:.2f} M parameters, {whole.gmacs:.1f} GMAC for {of} of 256x256"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="The data flow of {figure.title}">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path class="head" d="M0 0L8 4L0 8z"/></marker></defs>',
        f'<rect class="paper" width="{width}" height="{height}" rx="10"/>',
        _text(MARGIN, 26, f"{figure.title}, preset default", "ink title", "start"),
        _text(MARGIN, 44, sizes, "soft small", "start"),
    ]
    parts += [_arrow(boxes[a.start], boxes[a.end], a.lane, left) for a in figure.arrows]
    if figure.cut is not None:
        parts += _cut(figure.cut, width)
    parts += [_box(box, x, y, costs) for box, x, y in boxes.values()]
    return "\n".join([*parts, "</svg>", ""])


def _x(columns: float) -> float:
    return MARGIN + columns * (WIDTH + ACROSS)


def _cut(cut: tuple[float, str, str], width: int) -> Sequence[str]:
    row, above, below = cut
    y = HEAD + (row + 1) * (HEIGHT + DOWN) - DOWN / 2
    return [
        f'<path class="cut" d="M{MARGIN} {y:.0f}H{width - MARGIN}"/>',
        _text(width - MARGIN, y - 6, above, "soft small halo", "end"),
        _text(width - MARGIN, y + 16, below, "soft small halo", "end"),
    ]


def _box(box: Box, x: float, y: float, costs: Mapping[str, Cost]) -> str:
    lines = [box.below]
    if box.module:
        cost = costs[box.module]
        lines = [" × ".join(map(str, cost.shape)), f"{_numbers(cost.parameters)}{_macs(cost)}"]
    kind = "module" if box.module else "formula"
    top = y + (21 if len(lines) > 1 else 28)
    return "\n".join(
        [
            f'<rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" '
            'rx="7"/>',
            _text(x + WIDTH / 2, top, box.title, "ink title", "middle"),
            *(
                _text(x + WIDTH / 2, top + 15 * n + 1, line, "soft small", "middle")
                for n, line in enumerate(lines, 1)
            ),
        ]
    )


def _arrow(
    start: tuple[Box, float, float], end: tuple[Box, float, float], lane: float | None, left: float
) -> str:
    (_, x0, y0), (_, x1, y1) = start, end
    if lane is None:
        down = (y0 + HEIGHT, (y0 + HEIGHT + y1) / 2, y1 - 1)
        if y1 - y0 > 1.2 * (HEIGHT + DOWN):
            down = (y0 + HEIGHT, y1 - DOWN / 2, y1 - 1)
        path = (
            f"M{x0 + WIDTH / 2:.0f} {down[0]:.0f}V{down[1]:.0f}H{x1 + WIDTH / 2:.0f}V{down[2]:.0f}"
        )
    else:
        x = _x(lane - left)
        from_x = x0 if x < x0 else x0 + WIDTH
        to_x = x1 - 1 if x < x1 else x1 + WIDTH + 1
        path = f"M{from_x:.0f} {y0 + HEIGHT / 2:.0f}H{x:.0f}V{y1 + HEIGHT / 2:.0f}H{to_x:.0f}"
        if x1 < x < x1 + WIDTH:  # the lane ends above the box
            path = f"M{from_x:.0f} {y0 + HEIGHT / 2:.0f}H{x:.0f}V{y1 - 1:.0f}"
    return f'<path class="arrow" d="{path}" marker-end="url(#tip)"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return (
        f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _numbers(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count >= 10_000 else f"{count} numbers"


def _macs(cost: Cost) -> str:
    return f", {cost.gmacs:.1f} GMAC" if cost.gmacs >= 0.05 else ""


def figures() -> dict[str, str]:
    """Return every figure by its file's name."""
    drawn = {}
    for figure, make, config in FIGURES:
        with torch.device("meta"):
            network = make(config).eval()  # type: ignore[arg-type]
        drawn[f"{figure.name}.svg"] = draw(figure, *measure(network, figure))
    return drawn


def main() -> None:
    """Write the figures into `docs/baselines/`."""
    for name, text in figures().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
