"""Make the plots and the table of presets in docs/generator.md: `make pictures`."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from rvsd_bench import generators
from rvsd_bench.clip import ArrayClip
from rvsd_bench.generators.flight import blur_at_infinity_px
from rvsd_bench.generators.scene import VISIBILITY, Camera, Scene, Snow
from rvsd_bench.generators.severity import TELLING_AREA_PX2, severity
from rvsd_bench.generators.size_law import fall_speed, flake_diameter_mm, size_law

PAGE = Path(__file__).parent / "generator.md"
FOLDER = Path(__file__).parent / "generator"
BEGIN, END = "<!-- presets: made by docs/generator_plots.py -->", "<!-- end of presets -->"
SIZE = (180, 320)
COLOURS = ("#1b6ca8", "#d1495b", "#3a7d44", "#8d6a9f")
CAMERAS = {
    "phone, 4.25 mm f/1.8": Camera(),
    "dash camera, 2.8 mm f/2": Camera(hfov_deg=90, focal_mm=2.8, f_number=2.0),
    "full frame, 35 mm f/2.8": Camera(sensor_mm=36, hfov_deg=None, focal_mm=35, f_number=2.8),
    "the same, focus at 5 m": Camera(54.4, focal_mm=35, f_number=2.8, focus_m=5.0),
}


def sizes(axes: Axes) -> None:
    """Plot the two size laws over the melted diameter, with the flux normalised."""
    for rate, colour in zip((0.5, 1.5, 5.0), COLOURS, strict=False):
        for name, line in (("sekhon", "-"), ("gunn_marshall", "--")):
            law = size_law(Snow(rate_mm_per_h=rate, size_law=name, melted_max_mm=5.0))
            per_mm = law.number_per_m3 / np.diff(law.edges_mm)
            label = f"{rate:g} mm/h, {name.replace('_', '-')}"
            axes.semilogy(law.edges_mm[1:], per_mm, line, color=colour, label=label)
    axes.set(xlabel="melted diameter, mm", ylabel="flakes per m³ and mm", ylim=(1e-2, 5e3))


def speeds(axes: Axes) -> None:
    """Plot the fall speed over the flake's own diameter, and the spread between flakes."""
    for temperature, label, colour in (
        (-15.0, "below -10 °C", COLOURS[0]),
        (-4.0, "above", COLOURS[1]),
    ):
        snow = Snow(temperature_c=temperature)
        flake = flake_diameter_mm(np.linspace(snow.melted_min_mm, snow.melted_max_mm, 200), snow)
        speed, spread = fall_speed(flake, snow), snow.fall_speed_spread_m_per_s
        axes.plot(flake, speed, color=colour, label=label)
        axes.fill_between(flake, speed - spread, speed + spread, color=colour, alpha=0.12)
    axes.set(xlabel="diameter of the flake, mm", ylabel="fall speed, m/s", ylim=(0, 2.5))


def extinction(axes: Axes) -> None:
    """Plot what haze alone takes, and with grain and flakes: theory, and means over frames."""
    scene, depths = generators.preset("heavy"), np.array([3.0, 6, 12, 25, 40, 60])
    clip = ArrayClip(np.full((16, *SIZE, 3), 60, np.uint8), fps=0.5)
    haze, whole = [], []
    for depth in depths:
        spec = f"constant:{depth:g}"
        shot = generators.prepare(clip, scene, seed=2, depth=spec, motion="static")
        frames = [generators.render_frame(shot, i, clip[i]) for i in range(len(clip))]
        haze.append(-np.log(frames[0].T.mean()))
        whole.append(-np.log(np.mean([(f.T * (1 - f.z)).mean() for f in frames])))
    z = np.linspace(0, 62, 200)
    fog, snow = scene.fog.extinction_per_m, severity(scene).snow_extinction_per_m
    axes.plot(z, fog * z, "--", color=COLOURS[0], label="fog · z")
    axes.plot(
        z, fog * z + snow * np.maximum(z - 0.3, 0), color=COLOURS[1], label="(fog + snow) · z"
    )
    axes.plot(depths, haze, "s", color=COLOURS[0], label="rendered: -ln T")
    axes.plot(depths, whole, "o", color=COLOURS[1], label="rendered: -ln mean (1-z)T")
    axes.set(xlabel="depth, m", ylabel="optical depth (preset heavy)")


def blurs(axes: Axes) -> None:
    """Plot circles of confusion, and the streak of a flake that falls at 1 m/s, over depth."""
    z = np.geomspace(0.3, 60, 300)
    for (name, camera), colour in zip(CAMERAS.items(), COLOURS, strict=True):
        blur = blur_at_infinity_px(camera, camera.focal_px(1280)) * np.abs(
            1 / camera.focus_m - 1 / z
        )
        axes.loglog(z, blur, color=colour, label=name)
    streak = Camera().focal_px(1280) * Camera().shutter_s / z
    axes.loglog(z, streak, ":", color="black", label="streak at 1 m/s, 1/120 s, phone")
    axes.set(xlabel="depth, m", ylabel="pixels at a width of 1280", ylim=(0.02, 200))


def visibilities(axes: Axes) -> None:
    """Plot the visibility over the rate: in snow without fog, and the presets with theirs."""
    rates = np.geomspace(0.1, 10, 60)
    for name, line in (("sekhon", "-"), ("gunn_marshall", "--")):
        laws = [size_law(Snow(rate_mm_per_h=rate, size_law=name)) for rate in rates]
        far = [VISIBILITY / law.extinction_per_m for law in laws]
        axes.loglog(rates, far, line, color=COLOURS[0], label=f"{name.replace('_', '-')}, no fog")
    named: dict[tuple[float, float], list[str]] = {}
    for name in generators.preset_names():
        scene = generators.preset(name)
        place = scene.snow.rate_mm_per_h, severity(scene).visibility_m
        named.setdefault(place, []).append(name)
    for place, names in named.items():
        axes.plot(*place, "o", color=COLOURS[1])
        axes.annotate(", ".join(names), place, (6, 3), textcoords="offset points", fontsize=8)
    for metres, label in ((1200, "light snow: above"), (400, "heavy snow: below")):
        axes.axhline(metres, color="grey", lw=0.8, ls=":")
        axes.text(0.105, metres * 1.06, label, fontsize=7, color="grey")
    axes.set(xlabel="rate, mm/h of water", ylabel="visibility, m")


def counts(axes: Axes) -> None:
    """Plot how many flakes of half a pixel and more each depth shows: theory, and 60 frames."""
    scene = generators.preset("moderate")
    law, focal = size_law(scene.snow), scene.camera.focal_px(SIZE[1])
    edges = np.linspace(0.3, 6.0, 39)
    clip = ArrayClip(np.zeros((60, *SIZE, 3), np.uint8), fps=1.0)
    shot = generators.prepare(clip, scene, seed=1, depth="constant:60", motion="static")
    listed = [generators.flakes(shot, index) for index in range(len(clip))]
    depths = [f.depth_m[f.visible & (np.pi * f.radius_px**2 >= TELLING_AREA_PX2)] for f in listed]
    seen = np.histogram(np.concatenate(depths), edges)[0] / len(clip) / np.diff(edges)
    z = (edges[1:] + edges[:-1]) / 2
    reach = law.diameter_m * focal * np.sqrt(np.pi / 4 / TELLING_AREA_PX2)
    near = (law.number_per_m3 * (z[:, None] < reach)).sum(axis=1)
    axes.plot(z, SIZE[0] * SIZE[1] / focal**2 * z**2 * near, color=COLOURS[0], label="size law")
    axes.plot(z, seen, ".", color=COLOURS[1], label="listed, 60 frames")
    axes.set(xlabel="depth, m", ylabel="flakes per m of depth, 320 x 180 px")


def table() -> str:
    """Return the table of the presets in Markdown."""
    lines = [
        "| preset | rate mm/h | fog 1/m | snow 1/m | visibility m | flakes/m³ | flakes in 720p |"
        " wind m/s | turbulence m/s | shutter s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    scenes = {name: generators.preset(name) for name in generators.preset_names()}
    for name, scene in sorted(scenes.items(), key=_order):
        found = severity(scene)
        cells = (
            f"`{name}`",
            f"{scene.snow.rate_mm_per_h:g}",
            f"{scene.fog.extinction_per_m:g}",
            f"{found.snow_extinction_per_m:.2g}",
            f"{found.visibility_m:.0f}",
            f"{found.flakes_per_m3:.0f}",
            f"{found.flakes_in_view:.0f}",
            f"{found.wind_m_per_s:.1f}",
            f"{scene.wind.turbulence_m_per_s:g}",
            f"1/{1 / scene.camera.shutter_s:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _order(item: tuple[str, Scene]) -> tuple[bool, float, str]:
    name, scene = item
    return scene.light.mode != "day", scene.snow.rate_mm_per_h, name


def main() -> None:
    """Write the plots, and the table into its place on the page."""
    for plot in (sizes, speeds, extinction, blurs, visibilities, counts):
        figure, axes = plt.subplots(figsize=(5.6, 3.8), dpi=100, layout="constrained")
        plot(axes)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
        figure.savefig(FOLDER / f"{plot.__name__}.png", metadata={"Software": None})
        plt.close(figure)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
