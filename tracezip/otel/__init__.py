"""What works inside the OpenTelemetry SDK: the only package that knows it."""
