"""Where the time of one sample went, from the device to the service and back, for an OpenTelemetry collector."""
