"""How a person sees traces: a model of one trace, and from it a tree or a waterfall of text, and a page of HTML.

    model.py      the spans of one trace as a tree, whatever they say of each other
    critical.py   the critical path
    rows.py       the tree as rows from top to bottom, repeated siblings folded
    text.py       names, times and colours on a terminal
    terminal.py   `tree` and `waterfall`
    bars.py       the bars of a waterfall
    listing.py    a line for each trace
    page.py       the page, from the files in page/

Everything takes time in proportion to the spans (and to sort them) and uses no recursion: spans nest as deep as the
data says.
"""

from tracezip.show.model import Trace
from tracezip.show.terminal import tree, waterfall
from tracezip.show.text import Style

__all__ = ["Style", "Trace", "tree", "waterfall"]
