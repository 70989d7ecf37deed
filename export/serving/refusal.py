"""A request that is answered by an error: status, what is wrong, what to do, when to come again."""

from __future__ import annotations

from typing import Any

from glrg_tf.errors import ConfigError, DataError, GlrgError


class RequestError(Exception):
    """An answer with an error status.

    Args:
        status: HTTP status, 4xx or 503.
        what: one sentence saying what is wrong.
        remedy: what the client can do.
        retry_after_s: seconds after which the same request may succeed.
    """

    def __init__(self, status: int, what: str, remedy: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(what)
        self.status, self.what, self.remedy, self.retry_after_s = status, what, remedy, retry_after_s

    def document(self) -> dict[str, Any]:
        """The JSON body: `error` as in TF Serving, and `remedy` where there is one."""
        return {"error": self.what} | ({"remedy": self.remedy} if self.remedy else {})

    def headers(self) -> dict[str, str]:
        """Headers of the answer beside the usual ones."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        # Who is too slow with a body is not waited for any longer.
        own = {401: {"WWW-Authenticate": "Bearer"}, 408: {"Connection": "close"}}
        return headers | own.get(self.status, {})


def busy(what: str) -> RequestError:
    """429: more work than the limits allow; the same request will succeed later."""
    return RequestError(429, what, remedy="try again in a moment", retry_after_s=1)


def refused(error: GlrgError, status: int | None = None) -> RequestError:
    """The answer to input that the library refuses. Places of this machine's file system are not told."""
    if status is None:
        status = 422 if isinstance(error, DataError) else 400 if isinstance(error, ConfigError) else 500
    return RequestError(status, error.what, error.remedy)
