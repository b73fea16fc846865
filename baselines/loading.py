"""Turn a spec into a restorer that is ready to run."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any, get_args

from rvsd_bench import registry
from rvsd_bench.baselines.foreign import OPENERS, RUNS_CODE
from rvsd_bench.baselines.info import ModelInfo, VideoRestorer
from rvsd_bench.baselines.spec import Spec, parse, truth
from rvsd_bench.errors import InputError, MissingError, RvsdBenchError, unknown
from rvsd_bench.files import sha256_bytes


def load(
    spec: str | Spec,
    *,
    device: str = "cpu",
    trust_code: bool = False,
    data: Path | None = None,
) -> VideoRestorer:
    """Return the restorer that a spec names, on `device` ("auto": the fastest one here).

    `data` is the root of the dataset about to be scored, for methods that are fitted to its
    `train/` (affine). `py:` and `torchscript:` specs run a stranger's code and need `trust_code`.
    `frames:` specs hold finished frames and nothing that could run: read those with
    `open_submission`.
    """
    spec = parse(spec) if isinstance(spec, str) else spec
    if spec.scheme == "frames":
        raise InputError(
            f"{spec} holds frames that are already restored; only `evaluate` can use it"
        )
    factory = _factory(spec, trust_code)
    model = factory(**_arguments(factory, spec, data))
    if not isinstance(getattr(model, "info", None), ModelInfo) or not callable(model):
        raise InputError(
            f"{spec} built a {type(model).__name__}, not a restorer: it needs `info: ModelInfo` "
            "and to be callable (wrap it in FrameModel or CenterModel)"
        )
    return _place(model, pick_device(device))


def pick_device(name: str) -> str:
    """Return the torch device for a name; "auto" takes CUDA, then MPS, then the CPU.

    Raises InputError for a device that torch does not know and MissingError for an absent one.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"there is no device {name!r}; use auto, cpu, cuda or cuda:N") from error
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if device.type not in there:
        raise InputError(f"models do not run on {name!r}; use auto, cpu, cuda, cuda:N or mps")
    if not there[device.type]:
        raise MissingError(
            f"this machine offers no {device.type} device to torch; use --device cpu"
        )
    if (device.index or 0) >= there[device.type]:
        raise MissingError(f"there is no {name}; {device.type} devices here: {there[device.type]}")
    return name


def require_trust(spec: Spec, trust_code: bool) -> None:
    """Raise InputError for a spec whose file would run a stranger's code without leave."""
    if spec.scheme in RUNS_CODE and not trust_code:
        raise InputError(
            f"{spec} runs the code in {spec.path}: add --isolate to confine it, or --trust-code to "
            "run it with all your rights"
        )


def _factory(spec: Spec, trust_code: bool) -> Callable[..., Any]:
    """Return what builds the model of a spec, once it is known that it may run."""
    path = spec.path
    if path is None:
        registered: Callable[..., Any] = registry.find("baseline", spec.target)
        return registered
    if not path.is_file():
        raise InputError(f"{spec}: there is no file {path}")
    require_trust(spec, trust_code)
    return (
        _python_factory(spec, path) if spec.scheme == "py" else partial(OPENERS[spec.scheme], path)
    )


def _python_factory(spec: Spec, path: Path) -> Callable[..., Any]:
    if path.suffix.lower() != ".py":
        raise InputError(f"{spec}: {path} is not a Python file")
    try:
        module = _run(path)
    except (Exception, SystemExit) as error:  # a stranger's code may raise anything
        raise InputError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    factory = getattr(module, spec.attribute, None)
    if not callable(factory):
        raise InputError(f"{path} has no function {spec.attribute!r} that builds a restorer")
    return _Guarded(factory, path)


def _run(path: Path) -> ModuleType:
    """Run a Python file, as it is now, as a module of its own and return that.

    Bytecode is neither read nor kept: it would pass for the source if that changed within a second
    without growing.
    """
    source = path.read_bytes()
    name = f"rvsd_bench_py_{path.stem}_{sha256_bytes(source)[:8]}"
    loader = SourceFileLoader(name, str(path))
    module_spec = spec_from_loader(name, loader)
    assert module_spec is not None
    module = module_from_spec(module_spec)
    sys.modules[name] = module  # where dataclasses and type hints look their module up
    try:
        exec(loader.source_to_code(source, str(path)), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@dataclass(frozen=True)
class _Guarded:
    """Call a stranger's factory so that whatever goes wrong in it names its file."""

    factory: Callable[..., Any]
    path: Path

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.factory)

    def __call__(self, **options: Any) -> Any:
        try:
            return self.factory(**options)
        except RvsdBenchError:
            raise
        except Exception as error:
            raise InputError(f"{self.path}: {type(error).__name__}: {error}") from error


def _arguments(factory: Callable[..., Any], spec: Spec, data: Path | None) -> dict[str, Any]:
    """Match options to the factory's parameters: unknown ones are refused, numbers are parsed.

    A parameter whose name Python reserves ends in an underscore (`from_`). A factory that takes a
    `data` parameter is given the dataset root.
    """
    parameters = dict(inspect.signature(factory).parameters)
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    arguments: dict[str, Any] = {"data": data} if "data" in parameters else {}
    public = {name.rstrip("_"): p for name, p in parameters.items() if name != "data"}
    for key, value in spec.options.items():
        if key in public and public[key].kind is not inspect.Parameter.VAR_KEYWORD:
            arguments[public[key].name] = _converted(value, public[key], f"{spec}: option {key!r}")
        elif takes_all:
            arguments[key] = value
        else:
            raise unknown(f"option of {spec.target!r}", key, public)
    return arguments


def _converted(text: str, parameter: inspect.Parameter, where: str) -> Any:
    wanted = parameter.annotation
    if wanted is parameter.empty:  # the default tells, where there is one
        wanted = str if parameter.default in (parameter.empty, None) else type(parameter.default)
    if not isinstance(wanted, str):  # a type, or a type and None
        kinds = [kind for kind in get_args(wanted) if kind is not NoneType] or [wanted]
        wanted = getattr(kinds[0], "__name__", "str")
    convert = _CONVERTERS.get(wanted.removesuffix(" | None"), str)
    try:
        return convert(text)
    except ValueError as error:
        raise InputError(f"{where} must be {wanted}, got {text!r}") from error


_CONVERTERS: Mapping[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "bool": truth,
    "Path": Path,
}


def _place(model: Any, device: str) -> VideoRestorer:
    """Move a model to a device and switch it, and a network that it wraps, to inference."""
    for owner, step, argument in (
        (model, "to", (device,)),
        (model, "eval", ()),
        (getattr(model, "network", None), "eval", ()),
    ):
        act = getattr(owner, step, None)
        if callable(act):
            act(*argument)
    restorer: VideoRestorer = model
    return restorer
