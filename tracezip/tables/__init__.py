"""Archives as tables: each module is the way of one library, over `Reader.scan`. They need the extra `arrow`."""
