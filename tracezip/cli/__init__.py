"""The command line: `tracezip` (main.py) and `tracezip-cat` (cat.py).

Nothing here knows the format. What is heavy (the codec, numpy, zstandard) is imported inside the commands,
so that `--help` and usage errors answer at once.
"""
