"""What is seen and what is heard at the same time, as one event."""
