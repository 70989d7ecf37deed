"""Strict settings: frozen dataclasses to and from plain dictionaries.

An unknown key is refused and the nearest known one named; a value of the wrong type is refused with
the expected type, so a misspelt option never trains a different model in silence.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from glrg_tf.errors import ConfigError

C = TypeVar("C")
_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def to_dict(config: Any) -> dict[str, Any]:
    """Returns a dataclass as plain JSON types (tuples become lists)."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(cls: type[C], values: Mapping[str, Any], where: str = "") -> C:
    """Builds the dataclass `cls` from `values`, refusing unknown keys and wrong types.

    Args:
        cls: a dataclass type; its fields may be dataclasses too.
        values: plain values by field name; missing fields keep their defaults.
        where: dotted prefix used in messages.

    Raises:
        ConfigError: unknown key (names the nearest known one), wrong type or missing field.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"expected settings by name, found {type(values).__name__}", where=where or cls.__name__)
    hints = typing.get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in names:
            _refuse_unknown(key, names, where)
    prefix = f"{where}." if where else ""
    built = {key: _convert(hints[key], value, prefix + key) for key, value in values.items()}
    try:
        return cls(**built)
    except TypeError as error:
        raise ConfigError(f"incomplete settings for {cls.__name__}: {error}", where=where or None) from error


def override(config: C, path: str, text: str, prefix: str = "") -> C:
    """Returns `config` with the field at dotted `path` set from the command-line `text`.

    Example: `override(config, "train.learning_rate", "1e-4")`. Messages put `prefix` before the path.
    """
    head, _, rest = path.partition(".")
    names = [f.name for f in dataclasses.fields(config)]  # type: ignore[arg-type]
    if head not in names:
        _refuse_unknown(path, _dotted(config), "")
    if rest:
        inner = getattr(config, head)
        if not dataclasses.is_dataclass(inner):
            raise ConfigError(f"'{head}' has no settings of its own", where=path)
        try:
            value = override(inner, rest, text, f"{prefix}{head}.")
        except ConfigError as error:
            if error.what.startswith("unknown setting"):
                _refuse_unknown(path, _dotted(config), "")
            raise
        return dataclasses.replace(config, **{head: value})  # type: ignore[type-var]
    hint = typing.get_type_hints(type(config))[head]
    return dataclasses.replace(config, **{head: _convert(hint, _parse(text), prefix + path)})  # type: ignore[type-var]


def override_all(config: C, assignments: Iterable[str], example: str) -> C:
    """Returns `config` changed by texts `KEY=VALUE` of a command line, one after the other.

    Raises:
        ConfigError: no '=' (then `example` is named), or as `override`.
    """
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(f"'{assignment}' is no KEY=VALUE", where="--set", remedy=f"example: --set {example}")
        config = override(config, key.strip(), value.strip())
    return config


def _dotted(config: Any, prefix: str = "") -> list[str]:
    keys: list[str] = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            keys += _dotted(value, f"{prefix}{field.name}.")
        else:
            keys.append(prefix + field.name)
    return keys


def _folded(keys: list[str]) -> list[str]:
    """Keys with what all of several groups have written once: `a|b.x` for `a.x` and `b.x`."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        head, dot, rest = key.rpartition(".")
        groups.setdefault(dot + rest, []).append(head)
    return ["|".join(heads) + rest for rest, heads in groups.items()]


def _refuse_unknown(key: str, known: list[str], where: str) -> typing.NoReturn:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    remedy = f"did you mean '{near[0]}'?" if near else "known: " + ", ".join(_folded(known))
    raise ConfigError(f"unknown setting '{key}'", where=where or None, remedy=remedy)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        errors = []
        for arg in args:
            if arg is not type(None):
                try:
                    return _convert(arg, value, where)
                except ConfigError as error:
                    errors.append(error)
        raise errors[0]
    if origin is typing.Literal:
        if value in args:
            return value
        near = difflib.get_close_matches(str(value), [str(a) for a in args], n=1)
        hint_text = f"did you mean '{near[0]}'?" if near else "one of: " + ", ".join(map(str, args))
        raise ConfigError(f"'{value}' is not a value of '{where}'", where=where, remedy=hint_text)
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_dict(hint, value, where)  # type: ignore[arg-type]
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"'{where}' wants a list, found {value!r}", where=where)
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_convert(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
        if len(value) != len(args):
            raise ConfigError(f"'{where}' wants {len(args)} values, found {len(value)}", where=where)
        return tuple(_convert(a, v, where) for a, v in zip(args, value, strict=True))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float, str, bool):
        if type(value) is not hint:
            wanted = _KINDS[hint]
            raise ConfigError(f"'{where}' wants {wanted}, found {value!r}", where=where, remedy=f"give {wanted}")
        return value
    return value
