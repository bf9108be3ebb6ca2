"""The device's side of the remote model service: asking in time, and nothing that must not leave."""
