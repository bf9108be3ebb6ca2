"""How the `digits` model is made: scenes that we render, a small detector, its training, and the bundle."""
