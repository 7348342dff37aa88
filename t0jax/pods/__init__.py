"""TPU slices: what a run would need and cost on them, before one is paid for."""
