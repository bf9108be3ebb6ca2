"""Samples and engines to the world: configuration, pipelines, results, outbox, MQTT, command line."""
