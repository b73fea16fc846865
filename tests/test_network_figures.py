"""The figures of the networks show the networks as they are."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[1] / "docs" / "network_figures.py"
    spec = importlib.util.spec_from_file_location("network_figures", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["network_figures"] = module
    spec.loader.exec_module(module)
    return module


def test_the_figures_in_the_docs_are_drawn_from_the_networks_as_they_are(
    script: ModuleType,
) -> None:
    drawn = script.figures()
    assert set(drawn) == {"desnownet.svg", "svdnet.svg", "semivdn.svg"}
    for name, text in drawn.items():
        assert (script.FOLDER / name).read_text(encoding="utf-8") == text, "run `make pictures`"
        root = ElementTree.fromstring(text)
        shown = "".join(root.itertext())
        assert {
            "desnownet.svg": "26.15 M parameters, 1709.8 GMAC for a frame",
            "svdnet.svg": "5.93 M parameters, 171.8 GMAC for 3 frames",
            "semivdn.svg": "56.91 M parameters, 109.7 GMAC for 3 frames",
        }[name] in shown
        assert "768 × 256 × 256" in shown or name != "desnownet.svg"


def test_a_box_that_is_no_part_of_the_network_is_an_error(script: ModuleType) -> None:
    from dataclasses import replace

    import torch

    figure, make, config = script.FIGURES[2]
    with torch.device("meta"):
        network = make(config)
    with pytest.raises(AttributeError, match="no_such_part"):
        script.measure(
            network, replace(figure, boxes=(script.Box("a", "a", 0, 0, "no_such_part"),))
        )
