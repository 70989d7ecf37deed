"""What the two Beam pipelines share: elements that each become one file, in a folder that launcher and workers see."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from glrg_tf.errors import ConfigError

_AGAIN = "see the logs of its workers, then run the same command again: finished elements are kept"
_REMEDY = "an environment of its own: pip install -r requirements-beam.txt; or leave --engine out"


def run_pipeline(
    options: Sequence[str],
    work: Sequence[tuple[str, Any]],
    load: Callable[[], Any],
    task: Callable[[Any, str, Any], None],
) -> None:
    """Does `task(load(), file, element)` on the workers for every (file, element) whose file is not there yet.

    Args:
        options: of the pipeline, as on Beam's command line; none is the DirectRunner in this process.
        work: files to be made, and of what.
        load: gives on a worker what the task works with; called once a worker.
        task: makes one file, whole or not at all.

    Raises:
        ConfigError: Beam is not installed, does not know the runner, or the pipeline failed.
    """
    beam = require_beam()
    todo = [(part, element) for part, element in work if not Path(part).is_file()]
    if not todo:
        return
    try:
        pipeline = beam.Pipeline(argv=list(options))
    except (ValueError, ImportError) as error:
        raise ConfigError(f"no such pipeline: {error}"[:300], where="beam", remedy="check the options") from error
    _ = (
        pipeline
        | "Elements" >> beam.Create(todo)
        | "Spread" >> beam.Reshuffle()
        | "Work" >> beam.ParDo(_make_worker(beam, load, task))
    )
    try:
        pipeline.run().wait_until_finish()
    except Exception as error:  # whatever a runner makes of a worker's error
        last = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise ConfigError(f"the pipeline failed: {last}"[:300], where="beam", remedy=_AGAIN) from error


def require_beam() -> Any:
    """The package `apache_beam`.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import apache_beam
    except ImportError as error:
        what = f"Apache Beam cannot be imported ({error})"[:200]
        raise ConfigError(what, where="beam", remedy=_REMEDY) from None
    return apache_beam


def unfinished(part: str | os.PathLike[str]) -> ConfigError:
    """The error of an element without a file."""
    what = "the pipeline ended and left no result"
    return ConfigError(what, where=part, remedy=_AGAIN)


def stamp(path: Path) -> tuple[int, int]:
    """Size and time of a file; -1 where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _make_worker(beam: Any, load: Callable[[], Any], task: Callable[[Any, str, Any], None]) -> Any:
    class Work(beam.DoFn):
        """Makes files; what it works with is loaded once a worker."""

        def setup(self) -> None:
            self.loaded = load()

        def process(self, element: tuple[str, Any]) -> Iterator[str]:
            task(self.loaded, *element)
            yield element[0]

    return Work()
