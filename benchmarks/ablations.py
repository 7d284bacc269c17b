"""What the codec is without one of its ideas: the lines of csrc/ that are then other ones.

Encoder and decoder are changed alike, so such a codec still gives everything back; its files are of no format.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ablation:
    """An idea, and what stands where it was: pairs of texts, the first of which is there exactly once."""

    idea: str
    file: str
    changes: tuple[tuple[str, str], ...]

    def apply(self, root: Path) -> None:
        """Raises ValueError if the file is no longer what this was written for."""
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        for old, new in self.changes:
            if text.count(old) != 1:
                raise ValueError(f"{self.file} has {text.count(old)} times what is left out for {self.idea!r}: {old!r}")
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")


ABLATIONS = (
    Ablation(
        "ids are foretold by their generators",
        "csrc/plan_ids.h",
        (
            (
                "for (size_t first = 0; first < n; first += stretch)",
                "for (size_t first = n; first < n; first += stretch)",
            ),
        ),
    ),
    Ablation(
        "ids are told once and then referred to",
        "csrc/ids.h",
        (("    if (!s->mention_slots.n)\n        return NONE;\n", "    return NONE;\n"),),
    ),
    Ablation(
        "a root's span id is half of its trace id",
        "csrc/ids.h",
        (("if (id == s->traces.v[trace].lo)", "if (0 && id == s->traces.v[trace].lo)"),),
    ),
    Ablation(
        "values are part of the path (Span Retrieval Tree)",
        "csrc/plan.h",
        (
            ("        if (distinct[best] == 1) {", "        if (0) {"),
            ("        u32 refined = refine(", "        continue;\n        u32 refined = refine("),
        ),
    ),
    Ablation(
        "a value depends on another one",
        "csrc/plan.h",
        (("    if (best <= n / 32 || n < 8)", "    if (1)"),),
    ),
    Ablation(
        "a trace's spans share values",
        "csrc/values.h",
        (("u32 m1 = at->trace == NONE ? 0 : one->atom1", "u32 m1 = 0"),),
    ),
    Ablation(
        "texts are templates with fields",
        "csrc/plan.h",
        (
            (
                "    n = (u32)skeleton_of(t->strings.v[v].p, n, s->scratch.v, &n_fields);\n    if (!n)",
                "    n = (u32)skeleton_of(t->strings.v[v].p, n, s->scratch.v, &n_fields);\n    if (1)",
            ),
        ),
    ),
    Ablation(
        "which path comes next depends on the last ones",
        "csrc/recent.h",
        (("    return v == two->first    ? PATH_FIRST", "    return 1 ? PATH_ANY : v == two->first ? PATH_FIRST"),),
    ),
    Ablation(
        "clocks have a granularity",
        "csrc/plan.h",
        (("k->next_grain[0] = k->next_grain[1] = 9;", "k->next_grain[0] = k->next_grain[1] = 0;"),),
    ),
    Ablation(
        "times are told from parents and children",
        "csrc/times.h",
        (
            ("base[2] = up->start, available |= 4;", "base[2] = up->start;"),
            ("base[4] = up->child_start, available |= 24;", "base[4] = up->child_start;"),
            ("base[5] = own->first_start, available |= 32;", "base[5] = own->first_start;"),
            ("base[2] = own->last_end - *start, available |= 4;", "base[2] = own->last_end - *start;"),
        ),
    ),
    Ablation(
        "times have models for each path",
        "csrc/times.h",
        (
            (
                "path_context(&s->x, AT_START + at, family, path, at, PAIR_CELLS)",
                "context(&s->x, family, 0, at, PAIR_CELLS)",
            ),
            (
                "path_context(&s->x, AT_LENGTH + at, F_LENGTH, path, at, PAIR_CELLS)",
                "context(&s->x, F_LENGTH, 0, at, PAIR_CELLS)",
            ),
        ),
    ),
)
