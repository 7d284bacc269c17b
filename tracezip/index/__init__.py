"""Where in an archive what stands: its units, found from its end without reading the rest. FORMAT.md, "Index".

The index only says what need not be looked at. It is never the only copy of anything, and where it is missing or does
not fit, the units are found by walking over the heads of all frames; then nothing is known of what they hold.
"""

from __future__ import annotations

from tracezip.index.reading import read_units, scan_units
from tracezip.index.units import Bounds, Pair, Summary, Unit

__all__ = ["Bounds", "Pair", "Summary", "Unit", "read_units", "scan_units"]
