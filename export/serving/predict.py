"""TF Serving's predict format: JSON requests to arrays, arrays to JSON answers.

A request holds `instances` (row form: a list of videos) or `inputs` (column form: whole batches), and optionally
`signature_name`. Where a signature has one input its name may be left out. Bytes travel as `{"b64": "..."}`.
Source: https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from export.serving.refusal import RequestError

DEFAULT_SIGNATURE = "serving_default"
METHOD = "tensorflow/serving/predict"
_NUMPY = {"DT_FLOAT": np.float32, "DT_INT32": np.int32, "DT_INT64": np.int64, "DT_UINT8": np.uint8}


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """One input or output of a signature."""

    name: str
    dtype: str  # as in TensorFlow's protocol: "DT_FLOAT", "DT_STRING", ...
    shape: tuple[int | None, ...]  # None where any size goes; the first is the batch


@dataclasses.dataclass(frozen=True)
class Signature:
    """What can be asked and what comes back."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclasses.dataclass(frozen=True)
class Call:
    """A predict request that has been understood."""

    signature: str
    inputs: dict[str, np.ndarray]  # (rows, ...) each
    by_row: bool  # whether the answer lists videos


def parse_json(body: bytes) -> Any:
    """The JSON value of a request's body.

    Raises:
        RequestError: 400, not JSON.
    """
    try:
        return json.loads(body)
    except RecursionError:
        raise RequestError(400, "the JSON is nested too deeply") from None
    except ValueError as error:  # bad syntax, bad utf-8, numbers of thousands of digits
        raise RequestError(400, f"the body is not JSON: {str(error)[:200]}") from None


def parse_call(value: Any, signatures: Mapping[str, Signature]) -> Call:
    """Understands a predict request.

    Raises:
        RequestError: 400, with what is wrong.
    """
    if not isinstance(value, dict):
        raise RequestError(400, "the body must be a JSON object", remedy='{"instances": [{"features": [...]}]}')
    name = value.get("signature_name", "")
    name = DEFAULT_SIGNATURE if name is None or name == "" else name
    if not isinstance(name, str) or name not in signatures:
        raise RequestError(400, f"no signature {_shown(name)}", remedy="there are: " + ", ".join(signatures))
    if ("instances" in value) == ("inputs" in value):
        raise RequestError(400, "the body needs either 'instances' or 'inputs'")
    by_row = "instances" in value
    specs = signatures[name].inputs
    columns = _columns_of_rows(value["instances"], specs) if by_row else _columns(value["inputs"], specs)
    inputs = {spec.name: to_array(columns[spec.name], spec) for spec in specs}
    if len({len(array) for array in inputs.values()}) > 1:
        raise RequestError(400, "the inputs differ in their number of videos")
    return Call(name, inputs, by_row)


def _columns_of_rows(instances: Any, specs: tuple[TensorSpec, ...]) -> dict[str, list[Any]]:
    if not isinstance(instances, list) or not instances:
        raise RequestError(400, "'instances' must be a list with at least one entry")
    names = [spec.name for spec in specs]
    if len(names) == 1 and not any(_is_named(instance) for instance in instances):
        return {names[0]: instances}
    for instance in instances:
        if not _is_named(instance) or sorted(instance) != sorted(names):
            raise RequestError(400, f"every entry of 'instances' must be an object with {_listed(names)}")
    return {name: [instance[name] for instance in instances] for name in names}


def _columns(inputs: Any, specs: tuple[TensorSpec, ...]) -> dict[str, Any]:
    names = [spec.name for spec in specs]
    if len(names) == 1 and not _is_named(inputs):
        return {names[0]: inputs}
    if not _is_named(inputs) or sorted(inputs) != sorted(names):
        raise RequestError(400, f"'inputs' must be an object with {_listed(names)}")
    return inputs


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and set(value) != {"b64"}


def to_array(value: Any, spec: TensorSpec) -> np.ndarray:
    """A JSON value as an array of the input's type and shape, all numbers finite.

    Raises:
        RequestError: 400, it does not fit.
    """
    if spec.dtype == "DT_STRING":
        array = np.array(_strings(value), object) if isinstance(value, list) else _wrong(spec, "is not a list")
        if not all(isinstance(item, bytes) for item in array.flat):
            _wrong(spec, "is not a regular array of text")
    else:
        array = _numbers(value, spec)
    fits = array.ndim == len(spec.shape) and all(
        want in (None, have) for want, have in zip(spec.shape, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in spec.shape)
        _wrong(spec, f"has shape ({', '.join(map(str, array.shape))}), this model reads ({wanted})")
    if not array.size:
        _wrong(spec, "is empty")
    return array


def _numbers(value: Any, spec: TensorSpec) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError, TypeError):  # ragged lists, too deep
        _wrong(spec, "is not a regular array of numbers")
    wanted = np.dtype(_NUMPY[spec.dtype])
    if array.dtype.kind not in "iuf" or (wanted.kind in "iu" and array.dtype.kind == "f" and array.size):
        _wrong(spec, f"must hold {'numbers' if wanted.kind == 'f' else 'whole numbers'} only")
    if wanted.kind in "iu" and array.size:
        limits = np.iinfo(wanted)
        if array.min() < limits.min or array.max() > limits.max:
            _wrong(spec, f"must lie in {limits.min}..{limits.max}")
    with np.errstate(over="ignore"):
        array = array.astype(wanted)
    if wanted.kind == "f" and not np.isfinite(array).all():
        _wrong(spec, "has values that are not finite")
    return array


def _strings(value: list[Any]) -> list[Any]:
    """Strings and `{"b64"}` objects, in lists of any depth, as bytes."""
    return [_strings(item) if isinstance(item, list) else _bytes(item) for item in value]


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise RequestError(400, "text holds half of a character (a lone surrogate)") from None
    if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError):
            raise RequestError(400, "a 'b64' value is not base64") from None
    raise RequestError(400, 'text must be a string or {"b64": "..."}')


def _wrong(spec: TensorSpec, what: str) -> Any:
    raise RequestError(400, f"input '{spec.name}' {what}")


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _shown(value: Any) -> str:
    return repr(value)[:80]


def format_outputs(outputs: Mapping[str, np.ndarray], by_row: bool) -> dict[str, Any]:
    """The JSON answer of a predict request, in the form it was asked in."""
    columns = {name: [_plain(row, name) for row in value.tolist()] for name, value in outputs.items()}
    if len(columns) == 1:
        (only,) = columns.values()
        return {"predictions" if by_row else "outputs": only}
    if not by_row:
        return {"outputs": columns}
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_plain(item, name) for item in value]
    if isinstance(value, bytes):  # an output whose name ends so is binary; all others are text
        return (
            {"b64": base64.b64encode(value).decode()} if name.endswith("_bytes") else value.decode("utf-8", "replace")
        )
    return value


def metadata(name: str, version: int, signatures: Mapping[str, Signature]) -> dict[str, Any]:
    """The answer to `/v1/models/NAME/metadata`."""
    definitions = {
        key: {
            "inputs": {spec.name: _tensor_info(spec) for spec in signature.inputs},
            "outputs": {spec.name: _tensor_info(spec) for spec in signature.outputs},
            "method_name": METHOD,
        }
        for key, signature in signatures.items()
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": str(version)},
        "metadata": {"signature_def": {"signature_def": definitions}},
    }


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    dims = [{"size": str(-1 if size is None else size), "name": ""} for size in spec.shape]
    return {"dtype": spec.dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": spec.name}


def status(version: int, state: str) -> dict[str, Any]:
    """The answer to `/v1/models/NAME`; `state` is LOADING, AVAILABLE or UNLOADING."""
    entry = {"version": str(version), "state": state, "status": {"error_code": "OK", "error_message": ""}}
    return {"model_version_status": [entry]}
