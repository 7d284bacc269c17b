"""The types of the native encoder of the SDK's spans."""

from collections.abc import Callable, Iterable
from typing import Any

class SpanWriter:
    def __init__(
        self,
        *,
        readable_span: type,
        event: type,
        link: type,
        context: type,
        trace_flags: type,
        trace_state: type,
        status: type,
        resource: type,
        scope: type,
        bounded_attributes: type,
        bounded_list: type,
        kinds: tuple[Any, ...],
        codes: tuple[Any, ...],
    ) -> None: ...
    def write(
        self,
        spans: Iterable[Any],
        other_way: Callable[[int, Any], tuple[tuple[bytes, str], tuple[bytes, str], bytes]],
    ) -> bytes: ...
