"""What TF Serving wants beside a SavedModel: settings, warm-up requests, a compose file, and clients.

DIR/
  saved_model/1/              written by `saved_model`; gets assets.extra/tf_serving_warmup_requests
  serving/
    models.config             which models, under which names
    batching.config           micro-batching as `glrg serve` does it
    monitoring.config         Prometheus metrics
    docker-compose.yml        starts TF Serving with the above
    README.md                 how to start and ask
    rest_client.py, grpc_client.py, load_generator.py
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from export.serving import clients
from export.serving.predict import Signature
from export.serving.settings import ServeSettings
from export.serving.warmup import write_warmup
from glrg_tf.errors import ExportError
from glrg_tf.io import atomic

FOLDER = "serving"
CLIENTS = ("rest_client.py", "grpc_client.py", "load_generator.py")
_QUEUE_BATCHES = 8  # full batches that may wait, as `glrg serve`'s queue
_THREADS = 2  # batches run at once

_MODEL = """\
  config {{
    name: "{name}"
    base_path: "/models/{folder}"
    model_platform: "tensorflow"
  }}
"""
_BATCHING = """\
max_batch_size {{ value: {batch} }}
batch_timeout_micros {{ value: {micros} }}
max_enqueued_batches {{ value: {queue} }}
num_batch_threads {{ value: {threads} }}
"""
_MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""
_COMPOSE = """\
# TF Serving with this export: `docker compose up` in this folder. REST on 8501, gRPC on 8500, on this machine only.
# For production name a version instead of "latest": TF_SERVING_VERSION=... docker compose up
services:
  captioner:
    image: tensorflow/serving:${TF_SERVING_VERSION:-latest}
    command:
      - --model_config_file=/serving/models.config
      - --enable_batching=true
      - --batching_parameters_file=/serving/batching.config
      - --monitoring_config_file=/serving/monitoring.config
      - --rest_api_timeout_in_ms=60000
    ports:
      - "127.0.0.1:8500:8500"
      - "127.0.0.1:8501:8501"
    volumes:
      - ..:/models:ro
      - .:/serving:ro
    read_only: true
    tmpfs:
      - /tmp
    cap_drop:
      - ALL
    security_opt:
      - no-new-privileges:true
    healthcheck:
      test: ["CMD", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8501"]
      interval: 10s
      start_period: 30s
    restart: unless-stopped
"""
_README = """\
# Serving this export

Start TF Serving (`docker compose up` in this folder), or without Docker:
```
tensorflow_model_server --rest_api_port=8501 --port=8500 --model_name={name} \\
  --model_base_path="$(realpath ../{folder})" --enable_batching --batching_parameters_file=batching.config
```
or, with this project installed, the same REST interface in Python: `glrg serve ../{folder}`.

Ask it (`features.npy` holds float32 (N, {width}), one row a video):
```
python rest_client.py features.npy                  # Python and numpy
python rest_client.py features.npy --captions 5
python grpc_client.py features.npy                  # grpcio, protobuf and numpy
curl -d '{{"instances": [{{"features": [0.1, ...]}}]}}' http://localhost:8501/v1/models/{name}:predict
python load_generator.py features.json --requests 20000 --clients 32
```
Models: {models}. Signatures: {signatures}.

- The first calls are fast too: `assets.extra/tf_serving_warmup_requests` runs while a version is loaded.
- gRPC refuses messages above 4 MB unless the client raises the limit, as `grpc_client.py` does; frames need that.
- A new version is a new numbered folder beside `1/`; the server takes the highest.
"""


def write_serving_files(folder: str | os.PathLike[str], name: str = "captioner") -> list[Path]:
    """Adds `serving/` to an export, and warm-up requests to each of its SavedModels.

    Args:
        folder: the export, with one or more `saved_model*/VERSION/`.
        name: of the first model in TF Serving; others get the ending of their folder.

    Returns:
        The files, for a manifest.

    Raises:
        ExportError: no SavedModel there, or one that does not run its warm-up requests.
    """
    from export.serving.engine import newest_version, saved_model_engine

    root, names = Path(folder), dict[str, str]()
    versions = {base: newest_version(base) for base in sorted(root.glob("saved_model*"))}
    found = {base: version for base, version in versions.items() if version is not None and version.parent == base}
    if not found:
        raise ExportError("no SavedModel in the export", where=root, remedy="export the format saved_model")
    written = []
    for base, version in found.items():
        names[base.name] = name + re.sub(r"\W", "_", base.name.removeprefix("saved_model"))
        written.append(write_warmup(version, names[base.name]))
    target = root / FOLDER
    target.mkdir(exist_ok=True)
    for file, text in _texts(names, saved_model_engine(next(iter(found))).signatures).items():
        atomic.write_text(target / file, text)
        written.append(target / file)
    for file in CLIENTS:
        shutil.copyfile(Path(clients.__file__).parent / file, target / file)
        written.append(target / file)
    return written


def _texts(names: Mapping[str, str], signatures: Mapping[str, Signature]) -> dict[str, str]:
    """The files of text, for models by folder and the signatures of the first."""
    limits, folder = ServeSettings(), next(iter(names))
    models = "".join(_MODEL.format(name=model, folder=base) for base, model in names.items())
    readme = _README.format(
        name=names[folder],
        folder=folder,
        width=signatures["serving_default"].inputs[0].shape[1],
        models=", ".join(f"`{model}`" for model in names.values()),
        signatures=", ".join(f"`{signature}`" for signature in signatures),
    )
    batching = _BATCHING.format(
        batch=limits.max_batch, micros=round(1000 * limits.max_wait_ms), queue=_QUEUE_BATCHES, threads=_THREADS
    )
    return {
        "models.config": f"model_config_list {{\n{models}}}\n",
        "batching.config": batching,
        "monitoring.config": _MONITORING,
        "docker-compose.yml": _COMPOSE,
        "README.md": readme,
    }
