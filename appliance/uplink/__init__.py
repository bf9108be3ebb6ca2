"""The thread between the pipelines and the world: it owns the outbox and the link and decides what goes out next."""
