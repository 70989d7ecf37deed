"""Keeps TensorFlow's start-up chatter off the terminal.

TensorFlow 2.21 writes a dozen lines from C++ while it is imported and while it looks for GPUs, before any logging
setting holds. They are kept aside, shown if the import fails, and never touched under `--debug`.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from types import ModuleType


def hush_tensorflow() -> None:
    """Arranges that the first `import tensorflow` of this process, whoever does it, is quiet."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "tensorflow" not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_quietly(module: ModuleType) -> None:
            with _stderr_aside():
                execute(module)
                module.config.list_physical_devices("GPU")  # where a machine without CUDA driver is reported
            module.get_logger().setLevel("ERROR")  # its advice on tracing is for us, not for users

        spec.loader.exec_module = execute_quietly  # type: ignore[method-assign]
        return spec


@contextlib.contextmanager
def _stderr_aside() -> Iterator[None]:
    """Sends file descriptor 2 to a scratch file; what came is shown only when the block fails."""
    with tempfile.TemporaryFile() as aside:
        try:
            sys.stderr.flush()
            original = os.dup(2)
        except (OSError, ValueError, AttributeError):  # no standard error to keep clean
            yield
            return
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            aside.seek(0)
            os.write(original, aside.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)
