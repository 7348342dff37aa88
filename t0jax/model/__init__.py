"""T5 1.1: its parameters, its attention, its layers, and what a step of it costs."""
