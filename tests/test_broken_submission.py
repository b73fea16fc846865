"""One submission with everything wrong that can be, as `check` and `evaluate` tell of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from rvsd_bench.cli import cli
from rvsd_bench.clip import Frame
from rvsd_bench.errors import InputError, ValidationError
from rvsd_bench.evaluation.evaluating import evaluate
from rvsd_bench.evaluation.submissions import check
from rvsd_bench.media.images import read_image, write_png

FRAMES, HEIGHT, WIDTH = 8, 72, 96


def scene(seed: int) -> list[Frame]:
    """Return frames of a coloured texture that a camera passes, four pixels a frame."""
    rng = np.random.default_rng(seed)
    wide = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH + 4 * FRAMES, 3)), (0, 0), 1.5)
    wide = np.clip(120 + 45 * wide / wide.std(), 0, 255).astype(np.uint8)
    return [np.ascontiguousarray(wide[:, 4 * t : 4 * t + WIDTH]) for t in range(FRAMES)]


def encoded(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def shift(folder: Path, by: int) -> None:
    frames = [read_image(folder / f"{t:04d}.png") for t in range(FRAMES)]
    for t in range(FRAMES):
        write_png(folder / f"{t:04d}.png", frames[(t + by) % FRAMES])


def modes(folder: Path, data: Path) -> None:
    one, two, three = (read_image(folder / f"{t:04d}.png")[..., ::-1] for t in (1, 2, 3))
    (folder / "0001.png").write_bytes(encoded(one[..., 0]))
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    (folder / "0002.png").write_bytes(encoded(np.concatenate([two, alpha], axis=2)))
    (folder / "0003.png").write_bytes(encoded(three.astype(np.uint16) * 257))


def corrupt(folder: Path, data: Path) -> None:
    (folder / "0002.png").write_bytes((folder / "0002.png").read_bytes()[:-40])


def freeze(folder: Path, data: Path) -> None:
    for t in range(4, FRAMES):
        shutil.copy(folder / "0003.png", folder / f"{t:04d}.png")


def swap(folder: Path, data: Path) -> None:
    for path in folder.iterdir():
        write_png(path, np.ascontiguousarray(read_image(path)[..., ::-1]))


def disorder(folder: Path, data: Path) -> None:
    for a, b in (("0005", "spare"), ("0002", "0005"), ("spare", "0002")):
        (folder / f"{a}.png").rename(folder / f"{b}.png")


def copy(side: str) -> Callable[[Path, Path], object]:
    return lambda f, d: shutil.copytree(d / "test" / side / f.name, f, dirs_exist_ok=True)


BROKEN: dict[str, tuple[Callable[[Path, Path], object], list[tuple[str, str, str]]]] = {
    "fine": (lambda f, d: None, []),
    "absent": (lambda f, d: shutil.rmtree(f), [("error", "absent", "no frames of the video")]),
    "missing": (lambda f, d: (f / "0003.png").unlink(), [("error", "missing", ": 0003")]),
    "extra": (
        lambda f, d: shutil.copy(f / "0001.png", f / "0099.png"),
        [("error", "extra", "0099.png")],
    ),
    "twice": (
        lambda f, d: shutil.copy(f / "0001.png", f / "1.png"),
        [("error", "duplicate", "0001.png, 1.png")],
    ),
    "size": (
        lambda f, d: write_png(f / "0001.png", scene(0)[0][:-2]),
        [("error", "size", "96x70 where the dataset's are 96x72")],
    ),
    "modes": (
        modes,
        [("error", "mode", mode) for mode in ("grey8", "rgb+alpha8", "rgb16")],
    ),
    "corrupt": (corrupt, [("error", "unreadable", "0002.png is damaged: the file ends too early")]),
    "frozen": (freeze, [("warning", "frozen", "4 times a frame repeats the one before")]),
    "the-input": (copy("snow"), [("warning", "is_input", "8 frames are byte for byte the input")]),
    "the-truth": (copy("clean"), [("error", "is_truth", "was the truth handed in?")]),
    "late": (lambda f, d: shift(f, 1), [("error", "shifted", "one after them")]),
    "early": (lambda f, d: shift(f, -1), [("error", "shifted", "one before them")]),
    "three-late": (lambda f, d: shift(f, 3), [("error", "shifted", "snowy frame 3 after them")]),
    "disorder": (disorder, [("warning", "order", "0002 shows 0005, 0005 shows 0002")]),
    "swapped": (swap, [("error", "swapped", "red and blue look swapped")]),
}  # fmt: skip
WITHIN = ("frozen", "the-input", "the-truth", "late", "early", "three-late", "disorder", "swapped")
"""What only the frames themselves tell, so that they are scored before it is known."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a dataset with a video for each fault, and the submission that has them all."""
    root, rng = tmp_path_factory.mktemp("broken"), np.random.default_rng(5)
    for seed, name in enumerate(BROKEN):
        for t, clean in enumerate(scene(seed)):
            flakes = (rng.random((HEIGHT, WIDTH, 1)) < 0.05) * 80.0
            snowy = np.clip(0.7 * clean + 66 + flakes, 0, 255)
            grain = np.clip(clean + rng.normal(0, 4, clean.shape), 0, 255)
            sides = {"data/test/clean": clean, "data/test/snow": snowy, "mine": grain}
            for side, frame in sides.items():
                (root / side / name).mkdir(parents=True, exist_ok=True)
                write_png(root / side / name / f"{t:04d}.png", frame.astype(np.uint8))
    for name, (spoil, _) in BROKEN.items():
        spoil(root / "mine" / name, root / "data")
    (root / "mine" / "typo").mkdir()
    write_png(root / "mine" / "typo" / "0000.png", scene(0)[0])
    return root


def test_check_tells_everything_at_once_video_by_video(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["leaderboard", "check", str(made / "mine"), "--data", str(made / "data")]
    with pytest.raises(ValidationError, match="errors found"):
        cli.main(words, standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"mine for data/test: {len(BROKEN)} videos, {len(BROKEN) * FRAMES} frames"
    told = [line.split(maxsplit=3) for line in lines[2:-1]]
    videos = [video for _, _, video, _ in told]
    assert videos == sorted(videos)
    for name, (_, wanted) in BROKEN.items():
        own = [(level, code, how) for level, code, video, how in told if video == name]
        assert len(own) == len(wanted), own
        for (level, code, how), (wanted_level, wanted_code, part) in zip(own, wanted):
            assert (level, code) == (wanted_level, wanted_code)
            assert part in how
    assert [line[:2] for line in told if line[2] == "typo"] == [["warning", "stranger"]]
    errors = sum(level == "error" for _, found in BROKEN.values() for level, _, _ in found)
    assert lines[-1].startswith(f"{errors} errors, ")


def test_evaluate_refuses_it_with_the_same_report(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no headline .* and \d+ more, see validation.json"):
        evaluate([f"frames:{made / 'mine'}"], made / "data", out=tmp_path, metrics=["psnr"])
    report = json.loads((tmp_path / "validation.json").read_text())
    assert report["ok"] is False
    theirs = {(p["code"], p["video"], p["message"]) for p in report["problems"]}
    ours = {(p.code, p.video, p.message) for p in check(made / "mine", made / "data").problems}
    assert theirs == ours


@pytest.mark.parametrize("truth", [True, False], ids=["with truth", "snowy alone"])
def test_frames_that_are_scored_are_judged_by_the_rule_of_check(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truth: bool
) -> None:
    install_metric(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    for name in ("fine", *WITHIN):
        shutil.copytree(made / "mine" / name, tmp_path / "mine" / name)
        for side in ("clean", "snow") if truth else ("snow",):
            home = tmp_path / "data" / "test" / side if truth else tmp_path / "data"
            shutil.copytree(made / "data" / "test" / side / name, home / name)
    words = {"out": tmp_path / "run", "metrics": ["psnr" if truth else "reddest"]}
    with pytest.raises(InputError):
        evaluate([f"frames:{tmp_path / 'mine'}"], tmp_path / "data", **words)
    report = json.loads((tmp_path / "run" / "validation.json").read_text())
    theirs = {(p["code"], p["video"], p["message"]) for p in report["problems"]}
    found = check(tmp_path / "mine", tmp_path / "data").problems
    assert theirs == {(p.code, p.video, p.message) for p in found}
    assert {video for _, video, _ in theirs} == set(WITHIN) - (set() if truth else {"the-truth"})


def install_metric(site: Path) -> None:
    """Lay on the path a metric that needs neither truth nor weights."""
    info = site / "reddest-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: reddest\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[rvsd_bench.metrics]\nreddest = reddest:Reddest\n")
    (site / "reddest.py").write_text(
        "from rvsd_bench.metrics import MetricCard\n"
        "class Reddest:\n"
        "    card = MetricCard('reddest', 'most red', 'nr', 'lower', '', 0, 1, 'MIT', 'none')\n"
        "    def prepare(self, reference, coverage=None): ...\n"
        "    def score(self, frame, prepared): return float(frame[..., 0].max())\n"
    )
