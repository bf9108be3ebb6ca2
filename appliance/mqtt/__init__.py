"""One connection to the broker: made, lost for a reason, made again; and what its topics are called."""
