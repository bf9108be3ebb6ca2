"""What `scripts/bench` measures: the appliance against the bare engine and against others, in one run."""
