"""Where Spark looks for the data source "tracezip": modules of the name pyspark_* are registered by themselves."""

from tracezip.tables.spark import TracezipDataSource as DefaultSource

__all__ = ["DefaultSource"]
