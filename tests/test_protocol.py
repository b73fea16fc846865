"""Protocols: what they say, their hash, and how two differ."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from rvsd_bench.cli.protocol import protocol as command
from rvsd_bench.errors import InputError, MissingError
from rvsd_bench.evaluation import protocol
from rvsd_bench.evaluation.protocol import Protocol
from rvsd_bench.metrics import CARDS, calibration, open_metric
from rvsd_bench.recipe import structure


@pytest.mark.parametrize("name", protocol.names())
def test_every_shipped_protocol_loads_and_names_known_metrics(name: str) -> None:
    found = protocol.load(name)
    assert found.id == name
    assert {*found.metrics, *found.regions} <= set(CARDS)


def test_the_contract_names_these_protocols() -> None:
    assert {"rvsd-2023", "semivdn-2024", "realsnow85-2024"} <= set(protocol.names())
    assert protocol.load(protocol.default_for(paired=True)).average == "macro"
    assert list(protocol.load("rvsd-2023").metrics) == ["psnr", "ssim", "lpips"]
    assert list(protocol.load(protocol.default_for(paired=False)).metrics) == ["nima", "musiq"]


def test_the_hash_is_that_of_the_file_as_canonical_json() -> None:
    fields = tomllib.loads(protocol.source("rvsd-2023"))
    del fields["about"]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    assert protocol.load("rvsd-2023").hash == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_the_hash_follows_the_numbers_and_not_the_prose() -> None:
    found = protocol.load("rvsd-2023")
    assert replace(found, about="said otherwise").hash == found.hash
    changed = {**found.metrics, "psnr": {"color": "y", "eps": 1e-8}}
    assert replace(found, metrics=changed).hash != found.hash
    assert replace(found, bootstrap_draws=9999).hash != found.hash


@pytest.mark.parametrize(
    ("key", "value"), [("crop_border", 4), ("resize", "bilinear"), ("colour", "y")]
)
def test_a_protocol_that_asks_for_what_is_not_done_is_refused(key: str, value: object) -> None:
    fields = tomllib.loads(protocol.source("rvsd-2023")) | {key: value}
    with pytest.raises(InputError, match=f"mine: .*{key}"):
        structure(Protocol, fields, "mine")


def test_an_unknown_protocol_is_answered_with_near_names() -> None:
    with pytest.raises(InputError, match="Did you mean 'rvsd-2023'"):
        protocol.load("rvsd2023")


def test_semivdn_differs_from_rvsd_in_the_average_alone() -> None:
    found = protocol.diff(protocol.load("rvsd-2023"), protocol.load("semivdn-2024"))
    assert {d.path for d in found} == {"id", "status", "about", "average"}


def test_the_command_prints_hash_text_and_differences() -> None:
    run = CliRunner()
    shown = run.invoke(command, ["show", "rvsd-2023"])
    assert protocol.load("rvsd-2023").hash in shown.output
    without_comments = tomllib.loads(shown.output)
    assert without_comments["metrics"]["psnr"]["color"] == "rgb"
    found = run.invoke(command, ["diff", "rvsd-2023", "vimp-2024", "--json"])
    paths = {item["path"]: (item["first"], item["second"]) for item in json.loads(found.output)}
    assert paths["metrics.lpips.channels"] == ("rgb", "bgr")
    assert paths["regions.psnr_snow.threshold"] == (0.01, None)
    assert "regions" not in paths  # said by its settings
    listed = run.invoke(command, ["list", "--json"])
    assert {row["name"] for row in json.loads(listed.output)} == set(protocol.names())


def test_a_metric_without_settings_is_still_a_difference() -> None:
    found = protocol.diff(protocol.load("rvsd-2023"), protocol.load("realsnow85-2024"))
    assert {d.path for d in found} >= {"metrics.nima", "metrics.musiq", "metrics.psnr.color"}
    assert "metrics" not in {d.path for d in found}


def test_vimp_2024_scores_the_calibration_pairs_as_its_script_does() -> None:
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    try:
        pairs = list(calibration.pairs())
    except MissingError as error:
        pytest.skip(str(error))
    found = protocol.load("vimp-2024")
    assert (found.average, found.metrics["lpips"]) == ("macro", {"channels": "bgr"})
    psnr, ssim = (open_metric(name, params=found.metrics[name]) for name in ("psnr", "ssim"))
    values = []
    for _, frame, clean in pairs:
        channels = []
        for c in range(3):
            one, other = (side[..., c].astype(np.float64) for side in (frame, clean))
            _, full = structural_similarity(
                one, other, data_range=255, full=True, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False,
            )  # fmt: skip
            channels.append(full[5:-5, 5:-5].mean())
        values.append(ssim.score(frame, ssim.prepare(clean)))
        assert values[-1] == pytest.approx(np.mean(channels), abs=1e-6)
        witness = peak_signal_noise_ratio(clean, frame, data_range=255)
        assert psnr.score(frame, psnr.prepare(clean)) == pytest.approx(witness, abs=1e-9)
    clamped = open_metric("ssim", params={"color": "rgb"})
    with_clamp = [clamped.score(frame, clamped.prepare(clean)) for _, frame, clean in pairs]
    assert with_clamp == pytest.approx((0.67398, 0.93252, 0.98963, 0.96761, 0.63111), abs=1e-5)
    assert with_clamp[0] - values[0] > 5e-4  # which the script does not count
    _, frame, _ = pairs[0]
    assert psnr.score(frame, psnr.prepare(frame)) == float("inf")
