"""Many devices, many machines: who holds which videos of a batch, who writes, and how workers agree.

The mathematics of a step does not depend on any of this: losses are sums over the global batch, and random numbers
belong to a place of the global batch, not to a replica (`Shard`). A run of several processes is described by
`TF_CONFIG` (docs/distributed.md); its first worker, the chief, alone writes files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from glrg_tf.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    import tensorflow as tf

    from glrg_tf.data.batches import Batch, CaptionBatches

StrategyName = Literal["auto", "mirrored", "multiworker"]


@dataclasses.dataclass(frozen=True)
class Task:
    """This process among the processes of a run."""

    index: int = 0
    workers: int = 1

    @property
    def chief(self) -> bool:
        """Whether this process writes the run's files."""
        return self.index == 0


def read_task() -> Task:
    """This process's task by `TF_CONFIG`; the only one where that is not set.

    Raises:
        ConfigError: `TF_CONFIG` is malformed, or names other jobs than workers and a chief.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text.strip():
        return Task()
    try:
        values = json.loads(text)
        cluster = {str(job): list(addresses) for job, addresses in values["cluster"].items()}
        job, index = str(values["task"]["type"]), int(values["task"]["index"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"TF_CONFIG is malformed ({error})", where="TF_CONFIG", remedy="see docs/distributed.md"
        ) from None
    chiefs, workers = len(cluster.get("chief", [])), len(cluster.get("worker", []))
    if not cluster.keys() <= {"chief", "worker"} or chiefs > 1 or job not in cluster:
        what = f"jobs {', '.join(cluster)} with task '{job}'; a run has workers, and at most one chief"
        raise ConfigError(what, where="TF_CONFIG", remedy="see docs/distributed.md")
    if not 0 <= index < len(cluster[job]):
        raise ConfigError(f"there is no {job} {index}", where="TF_CONFIG", remedy="count tasks from 0")
    return Task(index + (chiefs if job == "worker" else 0), chiefs + workers)


def make_strategy(name: StrategyName) -> tf.distribute.Strategy | None:
    """The devices of a run; None is one device. Call it before anything else is done with TensorFlow.

    Raises:
        ConfigError: several workers in `TF_CONFIG` and another strategy than `multiworker`; or none.
    """
    import tensorflow as tf

    task = read_task()
    if name == "multiworker" or (name == "auto" and task.workers > 1):
        if task.workers < 2:
            what = "multiworker needs TF_CONFIG with two workers or more"
            raise ConfigError(what, where="--strategy", remedy="see docs/distributed.md; on one machine: mirrored")
        return tf.distribute.MultiWorkerMirroredStrategy()
    if task.workers > 1:
        what = f"TF_CONFIG names {task.workers} workers"
        raise ConfigError(what, where="--strategy", remedy="--strategy multiworker, or unset TF_CONFIG")
    if name == "mirrored" or len(tf.config.list_physical_devices("GPU")) > 1:
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return None


def first_place(part: Any, parts: int, places: int) -> Any:
    """The first of `places` that belongs to a part, as even as can be: part p holds [first(p), first(p + 1))."""
    return part * places // parts


def sharded_batches(
    strategy: tf.distribute.Strategy, batches: CaptionBatches, first_step: int, steps: int
) -> tf.distribute.DistributedDataset:
    """The global batches of `steps` steps, each replica's videos on it: the same records for any number of replicas.

    Raises:
        ConfigError: fewer videos in a batch than replicas.
    """
    import tensorflow as tf

    replicas, videos = strategy.num_replicas_in_sync, batches.batch_size
    if videos < replicas:
        what = f"a batch of {videos} videos cannot be shared by {replicas} replicas"
        raise ConfigError(what, where="batch_size", remedy="a larger train.batch_size, or fewer replicas")

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        local = replicas // context.num_input_pipelines
        mine = range(context.input_pipeline_id * local, (context.input_pipeline_id + 1) * local)

        def generate() -> Iterator[Batch]:
            for step in range(first_step, first_step + steps):
                batch = batches.batch(step)
                for replica in mine:
                    held = slice(*(first_place(part, replicas, videos) for part in (replica, replica + 1)))
                    yield batch._replace(**{name: value[held] for name, value in batch._asdict().items()})

        return tf.data.Dataset.from_generator(generate, output_signature=batches.signature()).prefetch(2 * local)

    return strategy.distribute_datasets_from_function(of_worker)


class Workers:
    """The processes of a run, for what they must agree on. With one process nothing is communicated.

    Args:
        strategy: of the run.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None) -> None:
        resolver = getattr(strategy, "cluster_resolver", None)
        self.task = read_task() if resolver is not None else Task()
        self._strategy = strategy
        self._summed: Callable[[Any], Any] | None = None

    @property
    def chief(self) -> bool:
        """Whether this process writes the run's files."""
        return self.task.chief

    def mine(self, places: int) -> np.ndarray:
        """The places, of so many, that are this worker's to compute."""
        task = self.task
        bounds = [first_place(part, task.workers, places) for part in (task.index, task.index + 1)]
        return np.arange(*bounds)

    def total(self, values: np.ndarray) -> np.ndarray:
        """The sum of every worker's values float64; all call it, with the same shape."""
        values = np.asarray(values, np.float64)
        if self.task.workers == 1:
            return values
        import tensorflow as tf

        if self._summed is None:
            self._summed = tf.function(self._sum_replicas, reduce_retracing=True)
        return self._summed(tf.constant(values)).numpy()

    def any(self, true: bool) -> bool:
        """Whether it is true of any worker."""
        return bool(self.total(np.array([float(true)]))[0])

    def agree_on(self, number: int, what: str, where: object) -> None:
        """Refuses to go on when workers hold different numbers.

        Raises:
            CheckpointError: they do.
        """
        if self.any(bool(self.total(np.array([float(number)]))[0] != number * self.task.workers)):
            raise CheckpointError(
                f"the workers do not see the same {what}", where=where, remedy="put the run on a file system they share"
            )

    def on_chief(self, write: Callable[[], object]) -> None:
        """Lets the chief write while the others wait, and fails everywhere when that fails.

        Raises:
            CheckpointError: on the other workers; the chief raises its own error.
        """
        failure: Exception | None = None
        if self.chief:
            try:
                write()
            except Exception as error:
                failure = error
                if self.task.workers == 1:
                    raise
        if self.any(failure is not None):
            raise failure or CheckpointError("the chief could not write the run's files", remedy="see its messages")

    @contextlib.contextmanager
    def chief_first(self) -> Iterator[None]:
        """Runs the block on the chief, then on the others: these find what it left in a cache."""
        if not self.chief:
            self.any(False)
        try:
            yield
        finally:
            if self.chief:
                self.any(False)

    def _sum_replicas(self, values: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        strategy: Any = self._strategy
        local = strategy.num_replicas_in_sync // self.task.workers

        def summed() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            counted = context.replica_id_in_sync_group % local == 0  # one replica speaks for its worker
            mine = tf.where(counted, values, tf.zeros_like(values))
            return context.all_reduce(tf.distribute.ReduceOp.SUM, mine)

        return strategy.experimental_local_results(strategy.run(summed))[0]
