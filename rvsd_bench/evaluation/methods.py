"""Turn what the user names, models and folders of restored frames, into methods to be scored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from rvsd_bench.baselines.info import ModelInfo, VideoRestorer
from rvsd_bench.baselines.learned import count_parameters, learned_digest
from rvsd_bench.baselines.loading import load, require_trust
from rvsd_bench.baselines.spec import Spec, method_id, parse, slug
from rvsd_bench.clip import Clip
from rvsd_bench.data.dataset import Pictures, Video, open_snowy
from rvsd_bench.errors import InputError
from rvsd_bench.files import sha256_bytes, tree_digest
from rvsd_bench.isolation.confined import Confined, confines, require_confinable
from rvsd_bench.isolation.limits import Isolation
from rvsd_bench.texts import writable

if TYPE_CHECKING:
    from rvsd_bench.baselines.frames import Submission

ORACLE_STEP = 10
"""The oracle map of a clip is fitted to every 10th of its frames."""


Kind: TypeAlias = Literal["input", "classical", "image", "video", ""]
Source: TypeAlias = Literal["measured", "input", "oracle"]


@dataclass(frozen=True)
class Method:
    """One row of the tables: something that yields restored frames of any video."""

    id: str
    label: str
    """As `id`, but the same before and after the weights or frames it names have changed."""
    info: ModelInfo
    kind: Kind
    """Empty for restored frames: how they were made is not known."""
    source: Source
    digest: str | None
    """SHA-256 of all that decides its restored frames beside the files read; None: not known."""
    device: str
    spec: Spec | None = None
    model: VideoRestorer | None = None
    """The restorer itself, where it is light enough to travel to other processes."""
    trust_code: bool = False
    isolation: Isolation | None = None
    """How far the model is confined; None: it runs in this process."""
    parameters: int | None = None
    """How many numbers a network has learned; None where that is not known."""
    broken: str = ""
    """Why the model could not be opened; it yields no frames then."""

    @property
    def name(self) -> str:
        """The method's name in tables."""
        return self.spec.name if self.spec is not None and self.spec.name else self.info.name

    @property
    def given(self) -> str:
        """The method as it is named on a command line, with every path cut to its last part."""
        named = self.spec is not None and self.spec.name
        return f"{named}={self.spec.short}" if named and self.spec else self.label

    @property
    def slug(self) -> str:
        """The name of the method's files; that of a picture which every method has is not taken."""
        name = slug(self.label)
        return f"{name}-method" if name in ("input", "truth") else name

    @property
    def frames(self) -> Path | None:
        """The folder of restored frames, if that is what the method is."""
        return self.spec.path if self.spec is not None and self.spec.scheme == "frames" else None


def resolve(
    models: Sequence[str | VideoRestorer],
    *,
    data: Path,
    device: str,
    trust_code: bool = False,
    isolation: Isolation | None = None,
    allow_untrained: bool = False,
) -> tuple[Method, ...]:
    """Load each model once, to know what it is; refuse untrained ones and two of one name.

    With `isolation` what comes in files is not loaded here, and nothing but its name is known.
    Among several, one whose own files cannot be used comes back `broken` and leaves the others.
    """
    if not models:
        raise InputError("name at least one model to evaluate, such as identity or frames:DIR")
    methods = tuple(
        _from_spec_or_broken(
            parse(model), data, device, trust_code, isolation, alone=len(models) == 1
        )
        if isinstance(model, str)
        else _from_object(model, device)
        for model in models
    )
    for index, method in enumerate(methods):
        if method.slug in (other.slug for other in methods[:index]):
            raise InputError(f"two models are called {method.label!r}; name one by NAME=SPEC")
        if not method.info.trained and not allow_untrained:
            raise InputError(
                f"model {method.label!r} has no trained weights, its scores would mean nothing: "
                "give weights=FILE, or add --allow-untrained"
            )
    return methods


def is_frames(model: str) -> bool:
    """Tell whether a spec names a folder of restored frames, which needs no torch."""
    return parse(model).scheme == "frames"


def restored(method: Method, video: Video, snowy: Clip, clean: Clip | None) -> Clip:
    """Open a video as the method restores it; only an oracle looks at the clean side."""
    if method.frames is not None:
        return submission(method.frames, video.split).open(video)
    if method.isolation is not None:
        assert method.spec is not None
        confined = Confined(method.spec, method.isolation, method.device, one_thread=True)
        return confined.restore(partial(open_snowy, video))
    from rvsd_bench.restoring.runner import restore

    if method.source == "oracle":
        model = _fitted_to_truth(method, snowy, clean)
    elif method.model is not None:
        model = method.model
    else:
        assert method.spec is not None
        model = _loaded(str(method.spec), method.device, method.trust_code, method.digest)
    return restore(model, snowy, device=method.device)


def restored_files(method: Method, video: Video) -> tuple[Path, ...]:
    """Return the files from which a video's restored frames are read; none for a model."""
    if method.frames is None:
        return ()
    handed_in = submission(method.frames, video.split)
    clip = handed_in.open(video)
    return clip.files if isinstance(clip, Pictures) else (handed_in.places[video.name.casefold()],)


@lru_cache(maxsize=64)
def submission(folder: Path, split: str) -> Submission:
    """Open a folder of restored frames; it is listed once."""
    from rvsd_bench.baselines.frames import open_submission

    return open_submission(folder, split)


@lru_cache(maxsize=64)
def _loaded(spec: str, device: str, trust_code: bool, digest: str | None) -> VideoRestorer:
    """Load a model once in each process, and again where its files have another `digest`."""
    return load(spec, device=device, trust_code=trust_code)


def _fitted_to_truth(method: Method, snowy: Clip, clean: Clip | None) -> VideoRestorer:
    from rvsd_bench.baselines.affine import build_affine, fit_affine

    if clean is None:
        raise InputError(f"{method.label} is fitted to the clean frames, and there are none")
    return build_affine(fit_affine((snowy[i], clean[i]) for i in range(0, len(snowy), ORACLE_STEP)))


def _from_spec_or_broken(
    spec: Spec,
    data: Path,
    device: str,
    trust_code: bool,
    isolation: Isolation | None,
    *,
    alone: bool,
) -> Method:
    """Resolve a spec; a mistake in the words is raised, one in the files that they name kept."""
    confined = isolation is not None and confines(spec)
    if not confined:
        require_trust(spec, trust_code)
    try:
        if isolation is not None and confined:
            return _from_confined(spec, device, isolation)
        return _from_spec(spec, data, device, trust_code)
    except InputError as error:
        if alone or not spec.paths:
            raise
        label = spec.name or spec.short
        return Method(
            id=label,
            label=label,
            info=ModelInfo(name=label),
            kind="",
            source="measured",
            digest=None,
            device=device,
            spec=spec,
            broken=writable(str(error)),
        )


def _from_spec(spec: Spec, data: Path, device: str, trust_code: bool) -> Method:
    label = spec.name or spec.short
    if spec.scheme == "frames":
        return _from_frames(spec, label, device)
    if spec.target == "affine" and spec.options.get("oracle", "0").lower() in ("1", "true", "yes"):
        return _oracle(spec, label, device)
    model = load(spec, device=device, trust_code=trust_code, data=data)
    info = model.info
    # Named or not, the spec's own id holds a digest of the files that it names.
    own = method_id(replace(spec, name=None))
    parameters = count_parameters(model)
    light = parameters is None and spec.scheme == "name"
    return Method(
        id=spec.name or own,
        label=label,
        info=info,
        kind=_kind(spec.target, info, parameters),
        source="input" if spec.target == "identity" else "measured",
        digest=_digest(own, info.weights_sha256, dict(info.facts), device, learned_digest(model)),
        device=device,
        spec=spec,
        model=model if light else None,
        trust_code=trust_code,
        parameters=parameters,
    )


def _from_confined(spec: Spec, device: str, isolation: Isolation) -> Method:
    require_confinable(spec)
    label = spec.name or spec.short
    own = method_id(replace(spec, name=None))
    return Method(
        id=spec.name or own,
        label=label,
        info=ModelInfo(name=label, window=None),
        kind="",
        source="measured",
        digest=_digest(own, device, "confined"),
        device=device,
        spec=spec,
        isolation=isolation,
    )


def _from_frames(spec: Spec, label: str, device: str) -> Method:
    folder = spec.path
    if folder is None or not folder.is_dir():
        raise InputError(f"{spec}: there is no folder {folder}")
    submission.cache_clear()  # a video may have been added since an earlier run of this process
    content = tree_digest(folder)
    info = ModelInfo(name=label, window=None, weights_sha256=None)
    # A frame is known by its pixels: one that has changed leaves the others' scores alone.
    return Method(
        id=method_id(spec, content),
        label=label,
        info=info,
        kind="",
        source="measured",
        digest=_digest(label),
        device=device,
        spec=spec,
    )


def _oracle(spec: Spec, label: str, device: str) -> Method:
    from rvsd_bench.baselines.affine import CARD

    info = replace(CARD, name=label, trained_on="the clean frames of each clip that it restores")
    return Method(label, label, info, "classical", "oracle", _digest(label, device), device, spec)


def _from_object(model: VideoRestorer, device: str) -> Method:
    info, parameters = model.info, count_parameters(model)
    return Method(
        id=info.name,
        label=info.name,
        info=info,
        kind=_kind(info.name, info, parameters),
        source="input" if info.name == "identity" else "measured",
        digest=None,
        device=device,
        model=model,
        parameters=parameters,
    )


def _kind(name: str, info: ModelInfo, parameters: int | None) -> Kind:
    if name == "identity":
        return "input"
    if info.weights is None and parameters is None:
        return "classical"
    return "image" if info.window == 1 else "video"


def _digest(*parts: object) -> str:
    return sha256_bytes(json.dumps(parts, sort_keys=True, default=str).encode())
