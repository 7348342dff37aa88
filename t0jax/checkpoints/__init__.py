"""Checkpoints: which are whole, and how they are saved and restored."""
