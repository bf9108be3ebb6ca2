"""Events on disk until the receiver has them: a SQLite file, its room, its damage and its gaps."""
