"""Sizes and speeds of tracezip beside other codecs, on named files: ``python -m benchmarks --help``."""
