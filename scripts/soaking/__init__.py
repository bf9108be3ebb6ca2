"""The appliance at work for an hour, watched for what grows: `scripts/soak`."""
