"""Where the owner of models signs, publishes and serves them."""
