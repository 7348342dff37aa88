"""Training: the pure step, and the loop that owns files, clocks and hooks."""
