"""Models that come to the device: fetched, verified, tried, and taken back if they do not hold."""
