"""Read the strings that name a model: `scheme:target?key=value`, or `NAME=` and such a string."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

from rvsd_bench import registry
from rvsd_bench.errors import InputError, unknown
from rvsd_bench.texts import require_text

SCHEMES = ("frames", "py", "onnx", "torchscript", "spandrel")
_SUFFIXES = {".py": "py", ".onnx": "onnx", ".pth": "spandrel"}
_NAME = re.compile(r"([A-Za-z0-9][\w .+-]*)=(.*)", re.DOTALL)
_SCHEME = re.compile(r"([a-z][a-z0-9]+):(.*)", re.DOTALL)
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_PATH_OPTIONS = ("from", "weights", "encoder_weights")


@dataclass(frozen=True)
class Spec:
    """A model as the user named it. `scheme` is `name` (registered) or one of SCHEMES."""

    scheme: str
    target: str
    options: dict[str, str] = field(default_factory=dict)
    name: str | None = None
    guessed: bool = False
    """Whether the scheme was guessed from a bare path; worth telling the user."""

    def __str__(self) -> str:
        return self._text(self.target, self.options)

    @property
    def attribute(self) -> str:
        """The factory in a `py:` target: what follows the last colon, `build` by default."""
        return _split_attribute(self.target)[1]

    @property
    def path(self) -> Path | None:
        """The file or folder in the target, where the scheme has one."""
        if self.scheme == "name":
            return None
        return Path(_split_attribute(self.target)[0] if self.scheme == "py" else self.target)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file or folder that the spec names, target first."""
        options = (Path(value) for key, value in self.options.items() if _is_path(key, value))
        return tuple(path for path in (self.path, *options) if path is not None)

    @property
    def short(self) -> str:
        """The spec with every path cut to its last part."""
        target = self.target
        if self.scheme == "py":
            file, attribute = _split_attribute(target)
            target = f"{_last(file)}:{attribute}"
        elif self.scheme != "name":
            target = _last(target)
        cut = {k: _last(v) if _is_path(k, v) else v for k, v in self.options.items()}
        return self._text(target, cut)

    def _text(self, target: str, options: dict[str, str]) -> str:
        scheme = "" if self.scheme == "name" else f"{self.scheme}:"
        query = "&".join(f"{key}={value}" for key, value in options.items())
        return f"{scheme}{target}{'?' if query else ''}{query}"


def parse(text: str) -> Spec:
    """Return the model that a string names; raise InputError for a string that names none.

    `NAME=` may stand before the spec. A scheme is what stands before the first colon, unless that
    is one letter, a Windows drive. The scheme of a bare path is guessed: a folder or a `.zip` holds
    frames, a `.py` file a factory, an `.onnx` file a graph, a `.pth` file weights that spandrel may
    know; a registered name always wins.
    """
    require_text(text, "model")
    named = _NAME.fullmatch(text)
    name, rest = (named[1].strip(), named[2]) if named else (None, text)
    target, _, query = rest.partition("?")
    if not target:
        raise InputError(
            f"model {text!r} is empty: give a name, frames:DIR, onnx:FILE or py:FILE.py:build"
        )
    options = _options(query, text)
    scheme = _SCHEME.fullmatch(target)
    if scheme is None:
        return Spec(_guess(target), target, options, name, guessed=_guess(target) != "name")
    if scheme[1] not in SCHEMES:
        raise unknown("model scheme", scheme[1], SCHEMES)
    if not scheme[2]:
        raise InputError(f"model {text!r} names no file or folder after {scheme[1]!r}")
    return Spec(scheme[1], scheme[2], options, name)


def method_id(spec: Spec, content: str | None = None) -> str:
    """Return the id under which a method's rows are kept.

    That is NAME if one was given, else the spec with paths cut to their last part; where it names
    files, `@` and 8 hex digits of `content` follow, the sha256 of what they hold (a restorer's
    `info.weights_sha256`, a submission's digest; computed here if not given).
    """
    if spec.name is not None:
        return spec.name
    if not spec.paths:
        return spec.short
    return f"{spec.short}@{(content or _content(spec.paths))[:8]}"


def truth(text: str) -> bool:
    """Return what an option says that is true or false; raise ValueError for what is neither."""
    if text.lower() not in _TRUTH:
        raise ValueError(text)
    return _TRUTH[text.lower()]


def slug(method: str) -> str:
    """Return a name for files and folders made of a method id; different ids stay different.

    Letters, digits, dot, dash and underscore are kept, 100 at most; where anything was replaced or
    cut, 6 hex digits of the id's sha256 follow.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", method).strip("-.")[:100] or "method"
    if plain == method:
        return plain
    return f"{plain}-{hashlib.sha256(method.encode()).hexdigest()[:6]}"


def _options(query: str, text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in query.split("&") if query else ():
        key, equals, value = part.partition("=")
        if not (key and equals):
            raise InputError(f"model {text!r}: option {part!r} must read key=value")
        if key in options:
            raise InputError(f"model {text!r}: option {key!r} is given twice")
        options[key] = value
    return options


def _guess(target: str) -> str:
    if target in registry.names("baseline"):
        return "name"
    suffix = Path(_split_attribute(target)[0]).suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if Path(target).is_dir() or (suffix == ".zip" and Path(target).is_file()):
        return "frames"
    if "/" in target or "\\" in target:
        raise InputError(f"model {target!r}: there is no such folder, and no scheme before it")
    return "name"


def _split_attribute(target: str) -> tuple[str, str]:
    file, colon, attribute = target.rpartition(":")
    return (file, attribute) if colon and attribute.isidentifier() else (target, "build")


def _is_path(key: str, value: str) -> bool:
    return (key in _PATH_OPTIONS and value != "none") or "/" in value or "\\" in value


def _last(path: str) -> str:
    return PureWindowsPath(path).name or PurePosixPath(path).name or path


def _content(paths: tuple[Path, ...]) -> str:
    from rvsd_bench.files import sha256_bytes, sha256_file, tree_digest

    digests = [tree_digest(path) if path.is_dir() else sha256_file(path) for path in paths]
    return digests[0] if len(digests) == 1 else sha256_bytes("".join(digests).encode())
