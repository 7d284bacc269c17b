"""What sends and receives traces while they are made: streams of compressed batches over HTTP (PROTOCOL.md), plain
OTLP/HTTP where nobody speaks that, and what keeps batches until they are delivered."""
