"""What users name becomes methods: kinds, ids, and the refusal of what would mislead."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rvsd_bench.baselines import ModelInfo, VideoRestorer, load
from rvsd_bench.clip import ArrayClip
from rvsd_bench.data import dataset
from rvsd_bench.errors import InputError
from rvsd_bench.evaluation.methods import Method, resolve, restored, restored_files
from rvsd_bench.media.images import read_image, write_png
from rvsd_bench.restoring.saving import plan_outputs, save_restored

SIZE = (12, 16, 3)


class Halve:
    """A restorer that is an object: it halves every value."""

    info = ModelInfo(name="halve", licence="MIT")

    def __call__(self, clip):  # type: ignore[no-untyped-def]
        return clip / 2


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make a paired dataset: one test video of four frames, and one of twelve to fit to."""
    rng = np.random.default_rng(0)
    for split, count in (("test", 4), ("train", 12)):
        for index in range(count):
            clean = rng.integers(40, 180, SIZE, dtype=np.uint8)
            for side, frame in (("clean", clean), ("snow", clean // 2 + 60)):
                folder = tmp_path / "data" / split / side / "00000"
                folder.mkdir(parents=True, exist_ok=True)
                write_png(folder / f"{index:04d}.png", frame)
    return tmp_path / "data"


def one(model: str | VideoRestorer, data: Path, **options: bool) -> Method:
    (method,) = resolve([model], data=data, device="cpu", **options)
    return method


def test_kinds_and_sources_follow_the_model(data: Path) -> None:
    models = [
        "identity",
        "affine",
        "affine?oracle=1",
        "median?k=3",
        f"frames:{data}/test/snow",
        Halve(),
    ]
    found = resolve(models, data=data, device="cpu")
    assert [(method.id.split("@")[0], method.kind, method.source) for method in found] == [
        ("identity", "input", "input"),
        ("affine", "classical", "measured"),
        ("affine?oracle=1", "classical", "oracle"),
        ("median?k=3", "classical", "measured"),
        ("frames:snow", "", "measured"),
        ("halve", "classical", "measured"),
    ]


def test_a_name_is_the_id_and_the_name_in_the_table(data: Path) -> None:
    method = one(f"Mine=frames:{data}/test/snow", data)
    assert (method.id, method.name, method.slug) == ("Mine", "Mine", "Mine")


def test_changed_frames_have_another_id_in_the_same_folder(data: Path) -> None:
    before = one(f"frames:{data}/test/snow", data)
    write_png(data / "test" / "snow" / "00000" / "0000.png", np.zeros(SIZE, np.uint8))
    after = one(f"frames:{data}/test/snow", data)
    assert before.id != after.id
    assert before.slug == after.slug


def test_two_models_of_one_name_are_refused(data: Path) -> None:
    with pytest.raises(InputError, match=r"two models are called 'median'.*NAME=SPEC"):
        resolve(["median", "median"], data=data, device="cpu")
    assert len(resolve(["median", "A=median"], data=data, device="cpu")) == 2


def test_no_model_and_an_unknown_model_are_refused(data: Path) -> None:
    with pytest.raises(InputError, match="at least one model"):
        resolve([], data=data, device="cpu")
    with pytest.raises(InputError, match="Did you mean 'identity'"):
        one("identiy", data)
    with pytest.raises(InputError, match="no folder nowhere"):
        one("frames:nowhere", data)


def test_random_weights_are_refused_unless_asked_for(data: Path) -> None:
    model = Halve()
    model.info = replace(Halve.info, trained=False)  # type: ignore[misc]
    with pytest.raises(InputError, match=r"no trained weights.*--allow-untrained"):
        one(model, data)
    assert one(model, data, allow_untrained=True).info.trained is False


def test_what_decides_the_frames_decides_the_digest(data: Path) -> None:
    digests = {
        one(spec, data).digest for spec in ("median?k=3", "median?k=5", "affine", "identity")
    }
    assert len(digests) == 4
    fitted = one("affine", data)
    frame = np.full(SIZE, 7, np.uint8)
    write_png(data / "train" / "clean" / "00000" / "0010.png", frame)  # one of every tenth
    assert one("affine", data).digest != fitted.digest


def test_what_a_network_has_learned_decides_the_digest_though_no_spec_names_its_file(
    data: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(
        "import pathlib, torch\n"
        "from rvsd_bench.baselines import FrameModel, ModelInfo\n"
        "def build():\n"
        "    network = torch.nn.Conv2d(3, 3, 1)\n"
        "    value = float(pathlib.Path(__file__).with_name('weights').read_text())\n"
        "    torch.nn.init.constant_(network.weight, value)\n"
        "    torch.nn.init.zeros_(network.bias)\n"
        "    return FrameModel(network, ModelInfo(name='mine'))\n"
    )
    digests = []
    for value in ("0.25", "0.25", "0.5"):
        (tmp_path / "weights").write_text(value)
        digests.append(one(f"py:{tmp_path}/mine.py", data, trust_code=True).digest)
    assert digests[0] == digests[1] != digests[2]


def test_an_object_has_no_digest_so_that_it_always_runs(data: Path) -> None:
    assert one(Halve(), data).digest is None


def test_classical_models_travel_and_are_not_built_twice(data: Path) -> None:
    method = pickle.loads(pickle.dumps(one("affine", data)))
    assert method.model.map.frames == 2  # frames 0 and 10 of train/


def test_the_oracle_is_numpys_least_squares_on_the_clip_itself(data: Path) -> None:
    video = dataset.load(data, splits=("test",)).videos[0]
    rng = np.random.default_rng(1)
    snowy = ArrayClip(rng.integers(50, 200, (3, *SIZE), dtype=np.uint8))
    clean = ArrayClip(
        np.clip(snowy.frames * 0.7 + 20 + rng.normal(0, 3, (3, *SIZE)), 0, 255).astype(np.uint8)
    )
    method = one("affine?oracle=1", data)
    got = np.stack(list(restored(method, video, snowy, clean))).astype(float)
    for channel in range(3):
        x, y = (
            snowy.frames[0, ..., channel],
            clean.frames[0, ..., channel],
        )  # every tenth: the first
        wanted = np.polyval(np.polyfit(x.ravel().astype(float), y.ravel().astype(float), 1), x)
        assert np.abs(got[0, ..., channel] - wanted).max() <= 0.51


def test_restored_frames_come_by_id_and_their_files_are_known(data: Path) -> None:
    video = dataset.load(data, splits=("test",)).videos[0]
    method = one(f"frames:{data}/test/clean", data)
    clip = restored(method, video, dataset.open_snowy(video), None)
    assert np.array_equal(clip[2], dataset.open_clean(video)[2])
    assert [path.name for path in restored_files(method, video)] == [
        f"000{i}.png" for i in range(4)
    ]
    assert restored_files(one("identity", data), video) == ()


def test_evaluate_scores_the_bytes_that_restore_writes(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(
        "from rvsd_bench.baselines import FrameModel, ModelInfo\n\ndef build(tile: int = 8):\n"
        "    info = ModelInfo('mean', tile=tile)  # tiles change what it answers\n"
        "    return FrameModel(lambda x: (x + x.mean((-2, -1), keepdim=True)) / 2, info)\n"
    )
    spec, video = f"py:{path}", dataset.load(data, splits=("test",)).videos[0]
    scored = restored(one(spec, data, trust_code=True), video, dataset.open_snowy(video), None)
    outputs = plan_outputs(data / "test" / "snow", tmp_path / "out")
    save_restored(load(spec, trust_code=True), outputs, method="mean", fps=25)
    written = [read_image(file) for file in sorted((tmp_path / "out" / "00000").iterdir())]
    assert np.array_equal(np.stack(list(scored)), np.stack(written))
    whole = restored(one(f"{spec}?tile=0", data, trust_code=True), video, scored.source, None)
    assert not np.array_equal(np.stack(list(whole)), np.stack(written))


def test_parameters_of_a_network_are_counted(data: Path) -> None:
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):  # type: ignore[name-defined,misc]
        info = ModelInfo(name="net", window=3, emits="center", weights="net.safetensors")

        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Conv2d(3, 5, 3)

        def forward(self, clip):  # type: ignore[no-untyped-def]
            return clip

    method = one(Net(), data)
    assert (method.parameters, method.kind) == (3 * 5 * 9 + 5, "video")
    assert one("identity", data).parameters is None
