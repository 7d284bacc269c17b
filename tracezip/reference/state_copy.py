"""FORMAT.md, "Dictionaries": a restart group that begins with what another one knows."""

from __future__ import annotations

import copy
from typing import Any

from tracezip.reference.format_limits import BUDGET_START
from tracezip.reference.state import State, Trace
from tracezip.reference.tables import KINDS


def state_copied(state: State, *more: Any) -> tuple[State, list[Any]]:
    """The state with which a restart group begins like that one, and what else knows of it, as copies.

    What is about single traces is left out: traces and mentions, memories, generators.
    """
    memo: dict[int, Any] = {
        id(state.traces): [],
        id(state.trace_by_id): {},
        id(state.mention_by_id): {},
        id(state.last_trace): Trace(0, (0, 0)),
        id(state.memory): {},
        id(state.generators): [],
        id(state.processes): [],
        id(state.coders): {},
        id(state.plains): {},
        id(state.rows): [[] for _ in KINDS],
    }
    s = copy.deepcopy(state, memo)
    s.n_values = s.n_skipped = s.n_mentions = 0
    s.budget = BUDGET_START
    return s, copy.deepcopy(list(more), memo)
