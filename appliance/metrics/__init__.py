"""What the appliance does, in numbers for Prometheus."""
