"""What is asked of a remote model service and what it says, and how both travel."""
