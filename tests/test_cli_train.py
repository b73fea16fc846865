"""Hold the command train: what it leaves, how it goes on, and one line for bad input."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rvsd_bench.baselines.checkpoints import read_card
from rvsd_bench.baselines.learned import learned_digest
from rvsd_bench.baselines.loading import load
from rvsd_bench.files import digest_of, digest_source, tree_digest
from rvsd_bench.generators.recipes import as_recipe, preset
from rvsd_bench.media.images import write_png
from rvsd_bench.training.journal import read_journal
from rvsd_bench.training.saving import read_state

RECIPE = """
baseline = "svdnet"
steps = 6
batch = 2
frames = 3
crop = 16
licence = "CC0-1.0"
[network]
channels = 8
unshuffle = 2
stem_blocks = 0
halvings = 1
encoder_blocks = 0
trunk_blocks = 1
heads = 2
queries = 2
flow = "none"
[losses]
charbonnier = 1.0
snow = 0.5
contrast = 0.1
[data]
motion = "static"
snowfalls = 2
depth = "constant:30"
[validation]
every = 3
clips = 2
size = 32
"""


Run = Callable[..., Any]


def _make_clip(folder: Path, seed: int, frames: int = 5, size: tuple[int, int] = (32, 48)) -> None:
    """Write blocks of colours that move by a pixel a frame."""
    height, width = size
    colours = np.random.default_rng(seed).integers(30, 220, (height // 8 + 2, width // 8 + 2, 3))
    wide = np.kron(colours, np.ones((8, 8, 1))).astype(np.uint8)
    folder.mkdir(parents=True)
    for i in range(frames):
        write_png(folder / f"{i:03}.png", np.ascontiguousarray(wide[i : i + height, :width]))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of three clean clips."""
    root = tmp_path_factory.mktemp("footage") / "clips"
    for number in range(3):
        _make_clip(root / f"clip{number}", number)
    return root


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Return the file of a recipe that is done in seconds."""
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def train(run: Run, clips: Path, recipe: Path, tmp_path: Path) -> Run:
    """Return a function that trains into `tmp_path`/run; words are added, or stand instead."""

    def call(*words: str | Path, spec: str = "svdnet", data: Path = clips, out: str = "run") -> Any:
        given = ("--recipe", recipe, "--workers", "0", "--cache", clips.parent / "cache", *words)
        return run("train", spec, "--data", data, "--out", tmp_path / out, *given)

    return call


def _digests(out: Path) -> tuple[str, str]:
    """Return digests of student and teacher."""
    state = read_state(out)
    assert state is not None

    class Holder:
        def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
            self.state_dict = lambda: tensors

    return learned_digest(Holder(state["student"])), learned_digest(Holder(state["teacher"]))


# ---------------------------------------------------------------- what it leaves


def test_a_training_leaves_a_model_its_card_its_curves_and_its_pictures(
    train: Run, clips: Path, recipe: Path, tmp_path: Path
) -> None:
    done = train("--json", "--seed", "4")
    out = tmp_path / "run"
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert (answer["step"], answer["steps"], answer["began"]) == (6, 6, 0)
    assert {p.name for p in out.iterdir()} == {
        "checkpoint.safetensors", "state.pt", "log.csv", "card.json", "recipe.toml", "validation",
    }  # fmt: skip
    assert [p.name for p in sorted((out / "validation").iterdir())] == [
        "0000003.png",
        "0000006.png",
    ]
    assert [row["step"] for row in read_journal(out)] == ["1", "3", "6"]
    resolved = tomllib.loads((out / "recipe.toml").read_text())
    assert resolved["seed"] == 4 and resolved["network"]["channels"] == 8
    card = read_card(out / "checkpoint.safetensors")
    wanted = {(digest_source(clip), clip.name) for clip in clips.iterdir()}
    assert {(source["digest"], source["name"]) for source in card["data"]} == wanted
    assert sorted(source["role"] for source in card["data"]) == ["held out", "train", "train"]
    assert (card["seed"], card["step"], card["steps"]) == (4, 6, 6)
    assert card["trained_on"] == "2 clips of clips, snow moderate"
    assert card["snow_sha256"] == digest_of(as_recipe(preset("moderate")).tree)
    assert card["validation"] == answer["validation"]
    assert card["environment"]["torch"]
    assert str(tmp_path) not in (out / "card.json").read_text()


def test_the_checkpoint_is_a_model_by_itself(train: Run, tmp_path: Path) -> None:
    assert train().code == 0
    path = tmp_path / "run" / "checkpoint.safetensors"
    model = load(f"svdnet?weights={path}")
    assert model.info.trained and model.info.weights_licence == "CC0-1.0"
    assert model.info.trained_on == "2 clips of clips, snow moderate"
    assert model.config.channels == 8  # type: ignore[attr-defined]
    assert learned_digest(model) == _digests(tmp_path / "run")[1]  # the average, not the student
    assert model(torch.rand(1, 3, 3, 16, 16)).shape == (1, 3, 3, 16, 16)


def test_the_seed_decides_the_weights_and_nothing_else_does(train: Run, tmp_path: Path) -> None:
    for out, words in (("a", ()), ("b", ()), ("c", ("--seed", "1"))):
        assert train(*words, out=out).code == 0
        torch.rand(7)
    first, again, other = (_digests(tmp_path / out) for out in "abc")
    assert first == again != other


def test_the_weights_of_every_validation_are_kept_if_asked_for(train: Run, tmp_path: Path) -> None:
    assert train(out="plain").code == train("--keep", out="kept").code == 0
    assert not list((tmp_path / "plain" / "validation").glob("*.safetensors"))
    kept = sorted((tmp_path / "kept" / "validation").glob("*.safetensors"))
    assert [path.stem for path in kept] == sorted(
        path.stem for path in (tmp_path / "plain" / "validation").glob("*.png")
    )
    whole = (tmp_path / "plain" / "checkpoint.safetensors").read_bytes()
    assert kept[-1].read_bytes() == whole
    assert len(kept) > 1 and kept[0].read_bytes() != whole


def test_a_training_can_begin_from_weights(train: Run, tmp_path: Path) -> None:
    assert train().code == 0
    start = tmp_path / "run" / "checkpoint.safetensors"
    assert train(spec=f"svdnet?weights={start}", out="second").code == 0
    card = json.loads((tmp_path / "second" / "card.json").read_text())
    assert len(card["started_from"]) == 64
    before, after = (float(read_journal(tmp_path / o)[0]["snow"]) for o in ("run", "second"))
    assert before != after
    refused = train(out="second")
    assert refused.code == 2 and "started_from" in refused.complaint


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    train: Run, clips: Path, tmp_path: Path
) -> None:
    before = tree_digest(clips.parent)
    told = train("--dry-run", "--steps", "9")
    assert told.code == 0 and tomllib.loads(told.out)["steps"] == 9
    assert "9 steps of 2 windows, 0 of them done; nothing was written" in told.err
    plan = json.loads(train("--dry-run", "--json").out)
    assert plan["losses"] == {"charbonnier": 1.0, "snow": 0.5, "contrast": 0.1}
    assert not (tmp_path / "run").exists() and tree_digest(clips.parent) == before


# ---------------------------------------------------------------- going on


def test_a_finished_training_says_so_and_is_kept_unless_forced(train: Run, tmp_path: Path) -> None:
    assert train().code == 0
    kept = (tmp_path / "run" / "state.pt").stat().st_mtime_ns
    again = train()
    assert again.code == 0 and "complete: all 6 steps are done" in again.err
    assert (tmp_path / "run" / "state.pt").stat().st_mtime_ns == kept
    digests = _digests(tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert train("--force").code == 0
    assert (tmp_path / "run" / "state.pt").stat().st_mtime_ns != kept
    assert _digests(tmp_path / "run") == digests
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_what_was_learned_is_kept_where_the_new_data_cannot_be_opened(
    train: Run, recipe: Path, tmp_path: Path
) -> None:
    assert train("--steps", "1").code == 0
    before = tree_digest(tmp_path / "run")
    _make_clip(tmp_path / "short" / "clip", 0, frames=2)
    refused = train("--force", data=tmp_path / "short")
    assert refused.code == 2 and "2 frames" in refused.complaint
    assert tree_digest(tmp_path / "run") == before


def test_another_recipe_is_refused_with_the_difference(
    train: Run, recipe: Path, tmp_path: Path
) -> None:
    assert train().code == 0
    before = tree_digest(tmp_path / "run")
    recipe.write_text(RECIPE.replace("snow = 0.5", "snow = 0.25"))
    refused = train("--steps", "9")
    assert refused.code == 2
    assert "by another recipe (losses.snow: 0.5 -> 0.25; steps: 6 -> 9)" in refused.complaint
    assert tree_digest(tmp_path / "run") == before


def test_other_data_are_refused_with_the_difference(
    train: Run, clips: Path, tmp_path: Path
) -> None:
    assert train().code == 0
    other = tmp_path / "clips"
    shutil.copytree(clips, other, ignore=shutil.ignore_patterns("clip1", ".rvsd-cache"))
    _make_clip(other / "clip7", 7)
    refused = train(data=other)
    assert refused.code == 2
    assert "on other data (clip1 (" in refused.complaint
    assert "clip7 (" in refused.complaint and "is new" in refused.complaint


def test_a_folder_of_something_else_is_not_written_into(train: Run, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    refused = train()
    assert refused.code == 2 and "holds no training" in refused.complaint
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_workers_and_an_interrupt_change_no_weight(
    train: Run, clips: Path, recipe: Path, tmp_path: Path, heeds_interrupts: Callable[[], None]
) -> None:
    recipe.write_text(RECIPE.replace("steps = 6", "steps = 60"))
    out = tmp_path / "parts"
    words = ["train", "svdnet", "--data", clips, "--recipe", recipe, "--out", out, "--cache",
             clips.parent / "cache", "--device", "cpu"]  # fmt: skip
    command = [sys.executable, "-m", "rvsd_bench", *map(str, words)]
    with subprocess.Popen(
        [*command, "--workers", "2"], stderr=subprocess.PIPE, text=True,
        preexec_fn=heeds_interrupts, start_new_session=True,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 240
        while len(read_journal(out) if (out / "log.csv").exists() else ()) < 2:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: workers too
        _, told = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted; the same command resumes" in told and "Traceback" not in told
    state = read_state(out)
    assert state is not None and 3 <= state["tally"]["step"] < 60
    stopped = state["tally"]["step"]
    assert subprocess.run([*command, "--workers", "1"], timeout=400).returncode == 0
    assert train("--device", "cpu", out="whole").code == 0
    assert _digests(out) == _digests(tmp_path / "whole"), stopped


# ---------------------------------------------------------------- several processes


@pytest.mark.slow
def test_two_processes_train_as_one_the_same_way_twice(
    clips: Path, recipe: Path, tmp_path: Path
) -> None:
    found = {}
    for out, steps in (("a", "4"), ("b", "4")):
        assert _together(clips, recipe, tmp_path / out, steps) == [0, 0]
        found[out] = _digests(tmp_path / out)
        card = json.loads((tmp_path / out / "card.json").read_text())
        assert card["processes"] == 2
    assert found["a"] == found["b"]
    alone = [sys.executable, "-m", "rvsd_bench", "train", "svdnet", "--data", str(clips),
             "--recipe", str(recipe), "--cache", str(clips.parent / "cache"), "--steps", "4",
             "--workers", "0", "--device", "cpu", "--out"]  # fmt: skip
    refused = subprocess.run([*alone, str(tmp_path / "a")], capture_output=True, text=True)
    assert refused.returncode == 2 and "processes: 2 -> 1" in refused.stderr
    assert subprocess.run([*alone, str(tmp_path / "c")]).returncode == 0
    assert _digests(tmp_path / "c") != found["a"]  # two learn from twice as many windows


def _together(clips: Path, recipe: Path, out: Path, steps: str) -> list[int]:
    """Start the command as torchrun would, twice; return the exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "rvsd_bench", "train", "svdnet", "--data", str(clips),
               "--recipe", str(recipe), "--cache", str(clips.parent / "cache"), "--steps", steps,
               "--workers", "0", "--device", "cpu", "--out", str(out)]  # fmt: skip
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(command, env={**os.environ, **shared, "RANK": r, "LOCAL_RANK": r})
        for r in "01"
    ]
    return [process.wait(timeout=240) for process in processes]


# ---------------------------------------------------------------- bad input


def test_data_that_cannot_be_learned_from_are_refused(
    train: Run, tmp_path: Path, recipe: Path
) -> None:
    empty, short, small = tmp_path / "empty", tmp_path / "short", tmp_path / "small"
    empty.mkdir()
    for number in range(2):
        _make_clip(short / f"clip{number}", number, frames=2)
        _make_clip(small / f"clip{number}", number, size=(32, 16))
    unpaired = tmp_path / "unpaired"
    _make_clip(unpaired / "train" / "snow" / "00000", 0)
    cache = ("--cache", tmp_path / "cache")
    for data, words in (
        (tmp_path / "absent", "there is no"),
        (empty, "empty"),
        (unpaired, "found no clips laid out as"),
        (short, "2 frames"),
        (small, "16 x 32"),
    ):
        recipe.write_text(RECIPE.replace("crop = 16", "crop = 32"))
        refused = train(*cache, data=data)
        assert refused.code == 2, refused.err
        assert words in refused.complaint
        assert not (tmp_path / "run").exists()


def test_absent_unlabelled_clips_are_named(train: Run, tmp_path: Path) -> None:
    refused = train("--unlabeled", tmp_path / "nowhere")
    assert refused.code == 2
    assert f"--unlabeled: there is no {tmp_path / 'nowhere'}" in refused.complaint


def test_clips_that_the_recipe_has_no_use_for_are_passed_over_aloud(
    train: Run, clips: Path, tmp_path: Path
) -> None:
    done = train("--unlabeled", clips, "--steps", "1")
    assert done.code == 0 and "--unlabeled is not looked at: the recipe's semi.batch" in done.err
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert {source["role"] for source in card["data"]} == {"train", "held out"}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("crop = 16", "crop = 18", "crop is 18: svdnet needs a multiple of 4, 8 or more"),
        ("channels = 8", "chanels = 8", "option of svdnet named 'chanels'"),
        ("contrast = 0.1", "contrasts = 0.1", "loss of this network named 'contrasts'"),
        ('"svdnet"', '"semivdn"', "is a recipe of semivdn, not of svdnet"),
        ("[losses]", "[settings]\nqueue = 3\n[losses]", "queue"),
        ("[losses]", "[optimiser]\nslower = {eyes = 0.5}\n[losses]", "no parameter begins with"),
        ("[data]", '[data]\nsnow = "hevy"', "hevy"),
    ],
)
def test_recipes_that_do_not_fit_are_refused(
    train: Run, recipe: Path, tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    recipe.write_text(RECIPE.replace(old, new, 1))
    refused = train()
    assert refused.code == 2, refused.err
    assert complaint in refused.complaint
    assert not (tmp_path / "run").exists()


def test_what_has_nothing_to_learn_is_refused(train: Run, recipe: Path) -> None:
    recipe.write_text('baseline = "median"\nsteps = 3\nlosses = {charbonnier = 1.0}\n')
    refused = train(spec="median")
    assert refused.code == 2 and "median has no weights that could be trained" in refused.complaint


def test_absent_weights_of_vgg_are_named_unless_the_recipe_goes_without(
    train: Run, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = str(tmp_path / "nothing")
    for variable in ("RVSD_BENCH_WEIGHTS", "XDG_DATA_HOME", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.setenv(variable, nowhere)
    text = RECIPE.replace("[losses]", "[losses]\nperceptual = 0.1")
    recipe.write_text(text)
    refused = train()
    assert refused.code == 3 and "weights fetch vgg16" in refused.err
    assert not (tmp_path / "run").exists()
    recipe.write_text(text.replace("crop = 16", 'crop = 16\nfeatures = "none"'))
    done = train()
    assert done.code == 0 and 'features = "none": goes without perceptual' in done.err
    card = read_card(tmp_path / "run" / "checkpoint.safetensors")
    assert card["losses_dropped"] == {"perceptual": 'features = "none"'}
    assert "perceptual" not in card["losses"]


def test_a_training_that_diverges_stops_in_one_line(train: Run, recipe: Path) -> None:
    wild = "[optimiser]\nlr = 1.0\nclip_norm = 0.0\npatience = 2\n[schedule]\nkind = 'constant'\n"
    recipe.write_text(RECIPE.replace("[losses]", wild + "[losses]").replace("= 0.1", "= 1e38"))
    stopped = train("--steps", "40")
    assert stopped.code == 2, stopped.err
    assert "the training diverged: up to step" in stopped.complaint
    assert "what blew up is" in stopped.complaint


def test_a_folder_that_cannot_be_made_is_named(train: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = train(out="file/run")
    assert refused.code == 2 and "cannot make" in refused.complaint
