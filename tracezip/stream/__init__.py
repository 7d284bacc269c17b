"""One stream: OTLP messages to frames and back. Knows nothing of files. FORMAT.md, "Streams"."""
