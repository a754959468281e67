"""Every error streameval raises on purpose, and the exit code each one ends the command line with.

An error carries one string, so that it crosses processes unchanged. The string says where, what was
found, what was expected, and what to do next.
"""

from __future__ import annotations


class StreamevalError(Exception):
    """The base of all errors raised on purpose; `exit_code` is the command line's exit code."""

    exit_code = 1


class UsageError(StreamevalError, ValueError):
    """An argument or option that cannot mean anything (2)."""

    exit_code = 2


class DataError(StreamevalError, ValueError):
    """A data set that is damaged, has the wrong form, or changed while it was read (3)."""

    exit_code = 3


class LabelError(DataError):
    """A label outside the model's classes, or labels that do not match the rows (3)."""


class ModelError(StreamevalError, ValueError):
    """A model file that is damaged, hostile, or does not fit together or to the data (4)."""

    exit_code = 4


class DamagedModelError(ModelError):
    """A model file that is not what it was when it was saved (4); `verify` makes a `CheckError` of it."""


class StorageError(StreamevalError, OSError):
    """Reading or writing failed: no such path, no permission, disk full, download failed (5)."""

    exit_code = 5


class CheckError(StreamevalError):
    """A check was made and did not hold (6)."""

    exit_code = 6


class IncompleteError(StreamevalError):
    """The work stopped part way, what was done is kept, and it can be resumed (7)."""

    exit_code = 7


class IncompleteDataError(IncompleteError, DataError):
    """The work stopped part way because of the data, and nothing of it is kept (3)."""

    exit_code = DataError.exit_code


class IncompleteModelError(IncompleteError, ModelError):
    """The work stopped part way because of the model, and nothing of it is kept (4)."""

    exit_code = ModelError.exit_code


class IncompleteStorageError(IncompleteError, StorageError):
    """The work stopped part way for want of memory, or of a file, and nothing of it is kept (5)."""

    exit_code = StorageError.exit_code


class LockedError(StreamevalError):
    """Another process is writing the same output (8)."""

    exit_code = 8


class KernelError(StreamevalError, RuntimeError):
    """The compiled kernels cannot run here, for instance in a fork of a process that ran them (1)."""


class StreamevalWarning(UserWarning):
    """Something the user should know, that does not stop the work."""


class UnwrittenWarning(StreamevalWarning):
    """The result is given, but something else that was asked for could not be written (5)."""

    exit_code = StorageError.exit_code
