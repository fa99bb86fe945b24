"""Errors that a person reads, and the signal that ends work early."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


class UserError(Exception):
    """Something a user can put right, told in one sentence: what is wrong, where, and what is allowed."""

    exit_code = 1
    """Of the command that it ends."""


class UsageError(UserError):
    """Words on a command line that a command does not take."""

    exit_code = 2


def one_of(names: object) -> str:
    """List names for an error message: ``a, b, c``."""
    return ", ".join(str(name) for name in names)  # type: ignore[attr-defined]


class NotWanted(Exception):
    """Ends work whose result is no longer wanted."""


OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Errors of a disk that is written to, which say nothing of what is read meanwhile."""


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn whatever a library raises about a user's files into a `UserError`: ``what``, and its first line."""
    try:
        yield
    except (UserError, NotWanted):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OF_WRITING:
            raise
        log.debug("%s", what, exc_info=True)
        first, *_ = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"{what} ({first.rstrip('.')}).") from None
