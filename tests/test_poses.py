"""Files of poses: every format tells the same path, and what is wrong is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from rvsd_bench import cli
from rvsd_bench.clip import ArrayClip
from rvsd_bench.errors import InputError
from rvsd_bench.generators.motion import resolve_motion
from rvsd_bench.generators.poses import read_poses
from rvsd_bench.media.images import write_png

N = 9
TIMES = np.arange(N) / 25


def _clip(frames: int = N) -> ArrayClip:
    return ArrayClip(np.full((frames, 32, 48, 3), 90, np.uint8), fps=25.0)


def _places(times: NDArray[np.float64] = TIMES) -> NDArray[np.float64]:
    return np.stack([0.5 * np.sin(3 * times), 0.1 * times, 8 * times + 2 * times**2], axis=-1)


def _turns() -> Rotation:
    """A slow pan with a little pitch and roll, in axes that are not those of the first camera."""
    angles = np.stack([40 + 60 * TIMES, 5 * np.sin(TIMES), 3 * TIMES], axis=-1)
    return Rotation.from_euler("yxz", angles, degrees=True)


def _write(folder: Path, kind: str) -> Path:
    turns, places = _turns(), _turns()[0].apply(_places()) + np.array([100, -20, 3])
    rows = np.column_stack([places, turns.as_quat()])
    path = folder / f"{kind}.{'json' if 'json' in kind else 'csv' if 'csv' in kind else 'txt'}"
    matrices = np.concatenate([turns.as_matrix(), places[..., None]], axis=2)
    if kind == "tum":
        stamped = np.column_stack([1.7e9 + TIMES, rows])
        np.savetxt(path, stamped, fmt="%.9f", header="time tx ty tz qx qy qz qw")
    elif kind == "kitti":
        np.savetxt(path, matrices.reshape(N, 12), fmt="%.12g")
    elif kind == "csv_time":
        np.savetxt(path, np.column_stack([TIMES, rows]), "%.12g", ",", comments="",
                   header="timestamp, tx,ty,tz,qx,qy,qz,qw")  # fmt: skip
    elif kind == "csv_frame":
        np.savetxt(path, np.column_stack([np.arange(N), rows]), "%.12g", ",", comments="",
                   header="frame,tx,ty,tz,qx,qy,qz,qw")  # fmt: skip
    elif kind == "json_matrices":
        path.write_text(json.dumps({"poses": matrices.tolist()}))
    else:
        told = {"position_m": places.tolist(), "rotation_xyzw": (-rows[:, 3:]).tolist()}
        path.write_text(json.dumps(told))
    return path


@pytest.mark.parametrize(
    "kind", ["tum", "kitti", "csv_time", "csv_frame", "json_matrices", "json_columns"]
)
def test_every_format_tells_the_path_in_the_axes_of_the_first_pose(
    tmp_path: Path, kind: str
) -> None:
    path = read_poses(_write(tmp_path, kind), _clip())
    turns = _turns()
    between = Slerp(TIMES, turns)
    for time in (0.0, TIMES[3], 0.0915, 0.2171, TIMES[-1]):
        place, turn = path.at(float(time))
        assert place == pytest.approx(_places(np.array(time)), abs=2e-4)
        expected = (turns[0].inv() * between(time)).as_matrix()
        assert turn == pytest.approx(expected, abs=2e-4)
        assert turn @ turn.T == pytest.approx(np.eye(3), abs=1e-12)


def test_between_poses_the_camera_neither_jumps_nor_jerks(tmp_path: Path) -> None:
    path = read_poses(_write(tmp_path, "kitti"), _clip())
    for join in TIMES[1:-1]:
        before, at, after = (path.at(float(join) + step) for step in (-1e-6, 0.0, 1e-6))
        for part in (0, 1):
            assert after[part] - at[part] == pytest.approx(at[part] - before[part], abs=1e-9)
            assert not np.array_equal(after[part], before[part])


def test_beyond_the_last_pose_the_camera_goes_straight_on(tmp_path: Path) -> None:
    path = read_poses(_write(tmp_path, "kitti"), _clip())
    last, later, latest = (path.at(TIMES[-1] + step)[0] for step in (0.0, 0.02, 0.04))
    assert later - last == pytest.approx(latest - later, abs=1e-12)
    assert (later - last)[2] == pytest.approx(0.02 * (8 + 4 * TIMES[-1]), rel=0.01)


def test_the_recorded_table_gives_the_same_path_bit_by_bit(tmp_path: Path) -> None:
    told = resolve_motion(_clip(), str(_write(tmp_path, "tum")))
    assert told.method == "file" and told.path is not None
    (tmp_path / "again.json").write_text(json.dumps(told.path.facts()))
    again = resolve_motion(_clip(), str(tmp_path / "again.json")).path
    assert again is not None and again.facts() == told.path.facts()
    for time in (0.0, 0.1234, 0.5):
        for here, there in zip(told.path.at(time), again.at(time), strict=True):
            assert (here == there).all()


def test_velocities_add_up_to_a_path(tmp_path: Path) -> None:
    rows = "".join(f"{0.1 * i},0,{10 * i}\n" for i in range(N))
    (tmp_path / "v.csv").write_text("vx,vy,vz\n" + rows)
    motion = resolve_motion(_clip(), str(tmp_path / "v.csv"))
    assert motion.path is not None
    assert motion.path.at(0.2)[0] == pytest.approx([0.05, 0, 5], abs=1e-9)
    assert motion.path.at(0.13)[0][2] == pytest.approx(250 * 0.13**2 / 2, rel=2e-3)
    assert motion.velocity_m_per_s == pytest.approx((0.4, 0.0, 40.0))


def test_a_longer_file_serves_a_shorter_clip(tmp_path: Path) -> None:
    for kind in ("kitti", "tum"):
        path = read_poses(_write(tmp_path, kind), _clip(4))
        assert path.at(0.1)[0] == pytest.approx(_places(np.array(0.1)), abs=1e-3)


ROW = "0,0,0,0,0,0,1\n"
HEADER = "frame,tx,ty,tz,qx,qy,qz,qw\n"
FRAMES = [f"{i},{ROW}" for i in range(N)]
LINES = [f"{i / 25} {ROW.replace(',', ' ')}" for i in range(N)]
BAD = {
    "lacks qw": "frame,tx,ty,tz,qx,qy,qz\n0,0,0,0,0,0,0\n",
    "lacks frame or time": f"tx,ty,tz,qx,qy,qz,qw\n{ROW}",
    "lines of 7 numbers": "0 0 0 0 0 0 1\n" * N,
    "lines of 8 and 12 numbers": LINES[0] + "1 0 0 0 0 1 0 0 0 0 1 0\n",
    "is not a file of poses": HEADER + "0,0,0\n",
    "pose 3 holds a number that is not finite": HEADER
    + "".join([*FRAMES[:2], "2,nan,0,0,0,0,0,1\n", *FRAMES[3:]]),
    "quaternion of pose 2 has length 1.414": HEADER
    + "".join([*FRAMES[:1], "1,0,0,0,1,0,0,1\n", *FRAMES[2:]]),
    "7 poses for a clip of 9 frames": HEADER + "".join(FRAMES[:7]),
    "1 poses for a clip of 9 frames": "1 0 0 0 0 1 0 0 0 0 1 0\n",
    "last 0.16 s, the clip 0.32 s": "".join(LINES[:5]),
    "the time of pose 5 is not after the one before": "".join(LINES[:4] + LINES[3:]),
    "the frame of pose 2 is not after the one before": HEADER + "".join(FRAMES[:1] * N),
    "the time of pose 3 is not after the one before": "".join(
        [*LINES[:2], LINES[2].replace("0.08", "nan"), *LINES[3:]]
    ),
    "matrix of pose 1 is no rotation": "1 0 0 0 0 1 0 0 0 0 -1 0\n" * N,
    "at most 100": HEADER + "".join(FRAMES[:-1]) + f"{N - 1},0,0,50,0,0,0,1\n",
    "turns by 180 degrees": HEADER + "".join(FRAMES[:-1]) + f"{N - 1},0,0,0,0,1,0,0\n",
}


@pytest.mark.parametrize("told", BAD)
def test_a_bad_file_of_poses_is_refused_in_one_line(tmp_path: Path, told: str) -> None:
    (tmp_path / "poses.txt").write_text(BAD[told])
    with pytest.raises(InputError, match=told) as caught:
        resolve_motion(_clip(), str(tmp_path / "poses.txt"))
    assert "poses.txt" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"poses": [[1, 2]]}',
        '{"poses": []}',
        '{"position_m": [[0, 0, 0]]}',
        f'{{"position_m": [[0, 0, {10**400}]], "rotation_xyzw": [[0, 0, 0, 1]]}}',
        '{"position_m": 3, "rotation_xyzw": [[0, 0, 0, 1]]}',
        f'{{"velocity_m_per_s": [0, 0, {10**400}]}}',
    ],
)
def test_json_that_holds_no_poses_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(InputError, match=r"p\.json"):
        resolve_motion(_clip(), str(tmp_path / "p.json"))


def test_json_with_more_times_than_poses_is_refused(tmp_path: Path) -> None:
    poses = {"time_s": [0, 1], "position_m": [[0, 0, 0]], "rotation_xyzw": [[0, 0, 0, 1]]}
    (tmp_path / "p.json").write_text(json.dumps(poses))
    with pytest.raises(InputError, match=r"p\.json: 2 times for 1 poses"):
        resolve_motion(_clip(), str(tmp_path / "p.json"))


def test_the_command_ends_with_2_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clip").mkdir()
    for i in range(3):
        write_png(tmp_path / "clip" / f"{i}.png", _clip()[i])
    (tmp_path / "poses.txt").write_text("".join(LINES[:1]))
    monkeypatch.chdir(tmp_path)
    told = ["generate", "clip", "--out", "out", "--motion", "poses.txt"]
    monkeypatch.setattr("sys.argv", ["rvsd-bench", *told])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    complaints = [line for line in capsys.readouterr().err.splitlines() if "poses.txt" in line]
    assert len(complaints) == 1 and "its 1 poses last 0 s, the clip 0.08 s" in complaints[0]
    assert not list(tmp_path.glob("out/**/*.png"))
