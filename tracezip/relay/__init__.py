"""The relay: an agent takes OTLP from services beside it and sends streams, a gateway takes streams and gives OTLP to a
backend, to archives, or to both. docs/RELAY.md is for its users."""
