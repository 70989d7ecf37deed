"""The error tree: every refusal says what is wrong, where, and what to do next.

The command line prints those three and exits with `exit_code` (docs/architecture.md, "Errors").
"""

from __future__ import annotations


class GlrgError(Exception):
    """Base of every error a user can cause or mend.

    Args:
        what: one sentence saying what is wrong.
        where: file, key, line or video id the sentence is about.
        remedy: what the user can do next.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: object = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = None if where is None else str(where)
        self.remedy = remedy

    def __str__(self) -> str:
        parts = [self.what]
        if self.where:
            parts.append(f"where: {self.where}")
        if self.remedy:
            parts.append(f"what to do: {self.remedy}")
        return "\n  ".join(parts)


class ConfigError(GlrgError):
    """Bad usage or configuration."""

    exit_code = 2


class DataError(GlrgError):
    """Input data refused."""

    exit_code = 4


class VideoError(DataError):
    """A video that cannot be opened, decoded or trusted."""


class FeatureError(DataError):
    """Feature files with missing keys, wrong widths or values that are not finite."""


class AnnotationError(DataError):
    """Caption files that are malformed, empty or inconsistent."""


class CheckpointError(GlrgError):
    """A checkpoint or captioner folder that is refused."""

    exit_code = 5


class ExportError(GlrgError):
    """An exported artefact that failed to load, run or agree with its source."""

    exit_code = 5
