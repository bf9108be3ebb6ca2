"""Samples that a model was unsure of, or that two models saw differently: kept for a model to learn from."""
