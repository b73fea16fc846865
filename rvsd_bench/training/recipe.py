"""Say how a network is trained: strict TOML to frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from rvsd_bench.errors import InputError
from rvsd_bench.recipe import bounded


@dataclass(frozen=True)
class Optimiser:
    """How weights follow their gradients."""

    kind: Literal["adam", "adamw"] = "adamw"
    lr: float = bounded(1e-4, 1e-9, 1)
    """At its highest; the schedule multiplies it."""
    betas: tuple[float, float] = bounded((0.9, 0.999), 0, 1)
    weight_decay: float = bounded(1e-2, 0, 1)
    clip_norm: float = bounded(1.0, 0, 1e6)
    """The largest norm of the whole gradient; 0 does not clip."""
    slower: dict[str, float] = field(default_factory=dict)
    """Factors on the rate of some parameters, by the beginning of their name: `flow = 0.25`."""
    patience: int = bounded(20, 1, 10_000)
    """So many steps in a row without a finite gradient end the training; fewer are passed over."""


@dataclass(frozen=True)
class Schedule:
    """How the rate changes from the first step to the last."""

    kind: Literal["polynomial", "cosine", "constant"] = "polynomial"
    warm_up: int = bounded(0, 0, 10**7)
    """Steps of a linear rise from nearly 0."""
    power: float = bounded(1.0, 0.1, 10)
    """Of the polynomial; 1 is a straight line."""
    least_lr: float = bounded(1e-9, 0, 1)
    """Where polynomial and cosine end."""


@dataclass(frozen=True)
class Ema:
    """The average of the weights over the steps: the teacher, and what is exported."""

    decay: float = bounded(0.99, 0, 1)


@dataclass(frozen=True)
class Data:
    """What the batches are cut from."""

    snow: str = "moderate"
    """Over clean footage: a preset, or a recipe file of the generator, as from this recipe's
    folder."""
    per_snowfall: int = bounded(128, 1, 10**6)
    """Samples from one snowfall before another begins. To begin one takes 0.2 to 0.7 s: of 128
    samples, sixteen windows used eight times, each bears 2 to 5 ms, as much as its rendering, and
    feeding stays near a tenth of what `lite` computes. More would save little and show less snow:
    5000 samples see 40 snowfalls."""
    snowfalls: int = bounded(8, 1, 1024)
    """How many snow at a time."""
    windows: int = bounded(32, 1, 4096)
    """Rendered windows that are learned from in turn, over clean footage; each is kept for several
    samples. More mix batches better and take memory: 17 bytes a pixel and frame."""
    around: int = bounded(0, 0, 512)
    """Rows of a small picture that comes with each window, of all that is around it; 0 for none.
    Over clean footage the largest squares that the clips allow, up to 512 pixels, are rendered
    then, and windows cut from them. For networks with an overview."""
    retouch: bool = False
    """Compose windows over clean footage anew, with other colours, haze and light."""
    depth: str = "auto"
    motion: str = "auto"
    flips: bool = True
    """Mirror every other window left to right, snow and all."""
    transposes: bool = False
    """Turn some windows on their side, as the usual training of restorers does; not those that
    know what is around them."""


@dataclass(frozen=True)
class Semi:
    """Real snow without truth."""

    batch: int = bounded(0, 0, 256)
    """Unlabelled windows in a step, where a folder of them is given."""


@dataclass(frozen=True)
class Ablation:
    """What a variant of the recipe leaves out or changes."""

    network: dict[str, Any] = field(default_factory=dict)
    """Fields of the network's configuration."""
    without: tuple[str, ...] = ()
    """Losses that it goes without."""
    unlabelled: bool = True


@dataclass(frozen=True)
class Validation:
    """How the network is looked at on clips that it does not learn from."""

    every: int = bounded(1000, 1, 10**7)
    clips: int = bounded(4, 1, 256)
    """Windows, at most; spread over the held-out clips."""
    size: int = bounded(256, 16, 8192)
    """Height and width, at most."""


@dataclass(frozen=True)
class TrainingRecipe:
    """All that decides what is learned, but for the data."""

    baseline: str
    steps: int = field(metadata={"range": (1, 10**8)})
    preset: str = "default"
    network: dict[str, Any] = field(default_factory=dict)
    """Fields of the network's configuration that differ from the preset's."""
    batch: int = bounded(4, 1, 4096)
    """Windows in a step, of each process."""
    frames: int = bounded(3, 1, 64)
    crop: int = bounded(256, 16, 4096)
    seed: int = bounded(0, 0, 2**31)
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    features: Literal["vgg16", "none"] = "vgg16"
    """What the losses that compare features see pictures with; `none` drops these losses."""
    licence: str = "unstated"
    """Of the weights that come out."""
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    ema: Ema = Ema()
    losses: dict[str, float] = field(default_factory=dict)
    """The weight of each loss, by name."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What else the network's objective takes."""
    data: Data = Data()
    semi: Semi = Semi()
    validation: Validation = Validation()
    ablation: str = "full"
    ablations: dict[str, Ablation] = field(default_factory=dict)
    """Variants by name, for `--ablation`."""

    def __post_init__(self) -> None:
        for name, weight in self.losses.items():
            if not 0 <= weight < float("inf"):
                raise InputError(f"losses.{name} is {weight:g}, must be 0 or more")
        if not any(self.losses.values()):
            raise InputError("losses: weigh at least one above 0")
