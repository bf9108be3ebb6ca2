"""The Open Inference Protocol v2, from both sides: our models for its clients, and its servers as our back ends."""
