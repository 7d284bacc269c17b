"""Every error that tracezip raises; each also subclasses what callers of similar libraries already catch."""

from __future__ import annotations


class TracezipError(Exception):
    """The root of the tree: the message says what is wrong, where, and what to do about it.

    `code` is a stable word for programs, the same for every error of a class unless the raiser gives a finer one.
    `offset` is the byte offset in the data at fault, None where no byte is.
    """

    code: str = "error"
    offset: int | None = None

    def __init__(self, message: str = "", *, code: str | None = None, offset: int | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        self.offset = offset


class FormatError(TracezipError, ValueError):
    """The data is not what it says it is: damaged, or never was tracezip data."""

    code = "format"


class TruncatedError(FormatError, EOFError):
    """The data ends too early; everything whole before the end can be recovered."""

    code = "truncated"


class ChecksumError(FormatError):
    """A checksum over stored or decoded bytes does not match: the data was changed after it was written."""

    code = "checksum"


class UnsupportedError(TracezipError, ValueError):
    """The data needs a newer version of tracezip: upgrade."""

    code = "unsupported"


class LimitError(TracezipError, ValueError):
    """The data or the request goes over a declared limit: raise the limit if the data is trusted."""

    code = "limit"


class InputError(TracezipError, ValueError):
    """What the caller gave is not a trace, in none of the accepted forms."""

    code = "input"


class UsageError(TracezipError, RuntimeError):
    """The object is closed, or dead after an earlier error: make a new one."""

    code = "usage"


def damaged_section(where: str) -> FormatError:
    """What both backends raise for a section that cannot be what an encoder wrote."""
    return FormatError(f"the block's {where} section is damaged or was not written by tracezip", code="section")


def section_beyond_limits(where: str) -> LimitError:
    """What both backends raise for a section that asks for more than FORMAT.md allows."""
    return LimitError(f"the block's {where} section goes beyond the limits of the format", code="section-limit")
