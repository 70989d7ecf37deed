"""Compiles, runs, checks and times a step that `benchmarks.portable_step` wrote, on a machine without TensorFlow.

Needs numpy and jaxlib (for a GPU also its plugin, e.g. the package jax-cuda12-plugin), nothing of this project:

    python run_portable.py FOLDER [--platform cpu|cuda] [--repeats 50] [--json FILE]

FOLDER holds step.mlir (StableHLO), manifest.json (argument order, shapes, FLOPs, floors) and samples.npz (arguments
and what TensorFlow gave for them). Timed is the step alone with its arguments on the device, until all results are
there; the first run, which is not counted, and the compilation are told apart. Float32 products on a GPU may run in
TF32: differences are then about 1e-3 (`NVIDIA_TF32_OVERRIDE=0` switches it off).
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np


def make_client(platform: str) -> Any:
    """The client of a platform, "cpu" or "cuda".

    Raises:
        SystemExit: no plugin for CUDA is installed.
    """
    from jaxlib import xla_client

    if platform == "cpu":
        return xla_client.make_cpu_client()
    try:
        from jax.extend import backend  # where jax is installed too, it knows its plugins best
    except ImportError:
        pass
    else:
        return backend.get_backend("cuda")
    import jax_plugins

    found = [f for folder in jax_plugins.__path__ for f in glob.glob(f"{folder}/xla_cuda*/xla_cuda_plugin.so")]
    if not found:
        raise SystemExit("no CUDA plugin of jaxlib found: pip install jax-cuda12-plugin[with-cuda]")
    if not xla_client.pjrt_plugin_loaded("cuda"):
        xla_client.load_pjrt_plugin_dynamically("cuda", found[0])
    if not xla_client.pjrt_plugin_initialized("cuda"):
        xla_client.initialize_pjrt_plugin("cuda")
    return xla_client.make_c_api_client("cuda", {}, None)


class PortableStep:
    """A step compiled for one device.

    Args:
        folder: what `benchmarks.portable_step` wrote.
        platform: "cpu" or "cuda".
    """

    def __init__(self, folder: Path, platform: str = "cpu") -> None:
        from jaxlib import xla_client

        self.manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        client = make_client(platform)
        self.device = client.local_devices()[0]
        text = (folder / "step.mlir").read_text("utf-8")
        started = time.perf_counter()
        devices = xla_client.DeviceList((self.device,))
        self._loaded = client.compile_and_load(text, devices, xla_client.CompileOptions())
        self.compile_s = time.perf_counter() - started

    def put(self, values: list[np.ndarray]) -> list[Any]:
        """Copies arguments to the device, in the manifest's order."""
        for value, told in zip(values, self.manifest["arguments"], strict=True):
            if list(value.shape) != told["shape"] or str(value.dtype) != told["dtype"]:
                raise ValueError(f"{told['name']} is {value.dtype} {value.shape}, the step wants {told}")
        return [_put(value, self.device) for value in values]

    def __call__(self, arguments: list[Any]) -> list[Any]:
        """Runs the step; results on the device, in the manifest's order."""
        results = self._loaded.execute_sharded(arguments).disassemble_into_single_device_arrays()
        return [one[0] for one in results]


class _Described:
    """Shape and type of an array, as jaxlib wants them told."""

    def __init__(self, value: np.ndarray) -> None:
        self.shape, self.dtype, self.ndim, self.weak_type = value.shape, value.dtype, value.ndim, False


def _put(value: np.ndarray, device: Any) -> Any:
    from jaxlib import xla_client

    class OnOneDevice(xla_client.SingleDeviceSharding):
        """The whole array on one device; jaxlib leaves these two to its caller."""

        memory_kind = None

        def _to_xla_hlo_sharding(self, ndim: int) -> Any:
            return xla_client.HloSharding.replicate()

    sharding = OnOneDevice(device)
    value = np.ascontiguousarray(value).reshape(value.shape)  # the first turns scalars into vectors
    return xla_client.batched_device_put(_Described(value), sharding, [value], [device], True, enable_x64=True)


def largest_difference(found: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    """The largest difference over all outputs, relative to the largest value of each."""
    pairs = zip(found, wanted, strict=True)
    return max(float(np.max(np.abs(a - b)) / (float(np.max(np.abs(b))) or 1.0)) for a, b in pairs)


def run(folder: Path, platform: str, repeats: int) -> dict[str, Any]:
    """Everything measured about one written step."""
    step = PortableStep(folder, platform)
    manifest = step.manifest
    with np.load(folder / "samples.npz", allow_pickle=False) as samples:
        arguments = [samples[f"argument_{i}"] for i in range(len(manifest["arguments"]))]
        wanted = [samples[f"result_{i}"] for i in range(len(manifest["results"]))]
    on_device = step.put(arguments)
    strides = [told["stride"] for told in manifest["results"]]
    found = [np.asarray(value).ravel()[::stride] for value, stride in zip(step(on_device), strides, strict=True)]
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        for value in step(on_device):
            value.block_until_ready()
        seconds.append(time.perf_counter() - started)
    best = min(seconds)
    row = {
        "name": manifest["name"],
        "device": f"{step.device.platform} {getattr(step.device, 'device_kind', '')}".strip(),
        "difference": largest_difference(found, wanted),
        "loss_difference": float(abs(found[0] - wanted[0])[0]),
        "compile_s": step.compile_s,
        "step_s": best,
        "median_s": float(np.median(seconds)),
        "flops_per_second": manifest["flops"] / best,
        "floors": manifest["floors"],
    }
    row["fraction_of_floor"] = {f"{gpu['gpu']} {gpu['precision']}": gpu["least_s"] / best for gpu in manifest["floors"]}
    return row


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--platform", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    rows = [run(folder, args.platform, max(args.repeats, 1)) for folder in args.folder]
    for row in rows:
        print(f"{row['name']} on {row['device']}: {1e3 * row['step_s']:.3f} ms (median {1e3 * row['median_s']:.3f})")
        print(f"  compiled in {row['compile_s']:.1f} s; {row['flops_per_second'] / 1e12:.3f} TFLOP/s")
        print(f"  largest difference from TensorFlow {row['difference']:.1e}, of the loss {row['loss_difference']:.1e}")
        for floor in row["floors"]:
            print(
                f"  floor on {floor['gpu']} ({floor['precision']}, published peaks): {1e3 * floor['least_s']:.3g} ms, "
                f"set by {floor['bound']}"
            )
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
