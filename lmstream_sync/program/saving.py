"""What a program has learned, as JSON: demos, instructions, field descriptions, LM settings without keys.

The names are DSPy's, and so is the shape: a predictor's state has `demos`, `signature` and
`lm`, a program's state has one of these for each predictor by its path, a file has
`metadata` besides. Code is not saved: a state is loaded into a program of the same make.
Files that DSPy wrote as JSON load too.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lmstream_sync.errors import ConfigurationError, LMStreamError
from lmstream_sync.program.predictor_state import dump_predictor, read_predictor

__all__ = ["FORMAT", "Saved"]

#: The number of the format that is written; files of a later one are refused.
FORMAT = 1


class Saved:
    """The part of a `Module` that saves and loads its state."""

    def named_predictors(self) -> Sequence[tuple[str, Any]]:
        """The predictors of the program, with their paths."""
        raise NotImplementedError

    def dump_state(self) -> dict[str, Any]:
        """The state as plain data that JSON can write: path of a predictor → its state; for a bare `Predict` its own.

        A state has `demos`, `signature` (instructions, and each field's description) and
        `lm` (`None`: that of the settings), in which no key or other secret stands.

        Raises:
            ConfigurationError: an LM that cannot be written, because it is no plain `LM` or
                has an option without a JSON form.
        """
        named = self.named_predictors()
        states: dict[str, Any] = {}
        for name, predictor in named:
            try:
                states[name] = dump_predictor(predictor)
            except ConfigurationError as error:
                wrong = str(error)
            else:
                continue
            raise ConfigurationError(f"the predictor {name}: {wrong}")
        return dict(states["self"]) if list(states) == ["self"] else states

    def load_state(self, state: Mapping[str, Any], *, allow_unsafe_lm_state: bool = False) -> None:
        """Take over what `dump_state` gave: all of it, or, where something does not fit, nothing.

        Args:
            state: the data.
            allow_unsafe_lm_state: allow it to say which endpoint a model is asked at; the
                key of your environment is sent there.

        Raises:
            ConfigurationError: it is the state of another program; the message names what
                does not fit. Nothing was changed.
        """
        if not isinstance(state, Mapping):
            raise ConfigurationError(f"a program's state is a dict, not a {type(state).__name__}")
        named = dict(self.named_predictors())
        states: dict[str, Any] = {str(name): inner for name, inner in state.items() if name != "metadata"}
        if list(named) == ["self"] and "self" not in states:
            states = {"self": states}
        missing = [name for name in named if name not in states]
        unknown = [name for name in states if name not in named]
        if missing or unknown:
            wrong = [f"nothing for {', '.join(missing)}"] * bool(missing) + [
                f"something for {', '.join(unknown)}, which this program has not"
            ] * bool(unknown)
            raise ConfigurationError(
                f"this is the state of another program than {type(self).__name__}: it has {' and '.join(wrong)}"
            )
        read: dict[str, dict[str, Any]] = {}
        for name, predictor in named.items():
            try:
                read[name] = read_predictor(predictor, states[name], trusted=allow_unsafe_lm_state)
            except LMStreamError as error:
                complaint = str(error)
            else:
                continue
            raise ConfigurationError(f"the state does not fit the predictor {name}: {complaint}")
        for name, predictor in named.items():
            for attribute, value in read[name].items():
                setattr(predictor, attribute, value)

    def save(self, path: str | os.PathLike[str], save_program: bool = False) -> None:
        """Write the state to a JSON file: all of it, or, where that fails, the old file stays.

        Args:
            path: ends in `.json`.
            save_program: must be false; DSPy's pickled programs are not written.

        Raises:
            ConfigurationError: another kind of file was asked for, or see `dump_state`.
            OSError: it cannot be written.
        """
        if save_program:
            raise ConfigurationError(
                "save_program=True is not supported: a pickled program runs code when it is loaded; save the state as "
                "JSON and load it into a program made by your code"
            )
        target = _json_path(path)
        state = self.dump_state()
        if "metadata" in state:
            raise ConfigurationError("a predictor cannot be saved under the name 'metadata'; rename that attribute")
        state["metadata"] = {"format": FORMAT, "dependency_versions": _versions()}
        _replace(target, _as_json(state))

    def load(
        self, path: str | os.PathLike[str], allow_pickle: bool = False, allow_unsafe_lm_state: bool = False
    ) -> None:
        """Load a state that `save`, or DSPy as JSON, wrote; see `load_state`.

        Args:
            path: ends in `.json`.
            allow_pickle: of no effect: pickled files are never read.
            allow_unsafe_lm_state: see `load_state`.

        Raises:
            ConfigurationError: it is no such file, one of a later format, or that of
                another program. Nothing was changed.
            OSError: it cannot be read.
        """
        target = _json_path(path)
        state = _read(target)
        complaint = ""
        try:
            self.load_state(state, allow_unsafe_lm_state=allow_unsafe_lm_state)
        except ConfigurationError as error:
            complaint = str(error)
        if complaint:
            raise ConfigurationError(f"{target}: {complaint}")


def _json_path(path: str | os.PathLike[str]) -> Path:
    found = Path(path)
    if found.suffix.lower() != ".json":
        raise ConfigurationError(
            f"{found}: programs are saved as JSON; give a path that ends in .json (pickled files, which run code when "
            "they are loaded, are neither written nor read)"
        )
    return found


def _versions() -> dict[str, str]:
    import importlib.metadata  # takes longer than all else here, which every program imports

    versions = {"python": platform.python_version()}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        versions["lmstream_sync"] = importlib.metadata.version("lmstream-sync")
    return versions


def _as_json(state: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(state, ensure_ascii=False, indent=2) + "\n").encode()
    except UnicodeEncodeError:  # half a surrogate pair, which UTF-8 cannot carry, but an escape can
        return (json.dumps(state, indent=2) + "\n").encode()


def _replace(path: Path, data: bytes) -> None:
    """Write a file in one step: whoever reads meanwhile finds the old one whole."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(beside, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def _read(path: Path) -> dict[str, Any]:
    """The state in a file.

    Raises:
        ConfigurationError: it holds none that this version reads.
    """
    data = path.read_bytes()
    try:
        state = json.loads(data)
    except (ValueError, RecursionError) as error:
        complaint = str(error) or "it is nested too deeply"
    else:
        complaint = ""
    if complaint:
        raise ConfigurationError(f"{path} is no JSON: {complaint}")
    metadata = state.get("metadata") if isinstance(state, dict) else None
    if not isinstance(metadata, dict):
        raise ConfigurationError(f"{path} is no saved program: it has no metadata")
    number = metadata.get("format", FORMAT)  # DSPy's files have none
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ConfigurationError(f"{path} is no saved program: its format is {number!r}")
    if number > FORMAT:
        versions = metadata.get("dependency_versions")
        by = versions.get("lmstream_sync", "a later version") if isinstance(versions, dict) else "a later version"
        raise ConfigurationError(
            f"{path} has format {number}, written by lmstream_sync {by}; this version reads up to {FORMAT}: upgrade"
        )
    found: dict[str, Any] = state
    return found
