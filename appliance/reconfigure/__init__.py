"""Another configuration for a device, signed by the owner of its models: fetched, judged, tried, and taken back."""
