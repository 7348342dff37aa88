"""The embedded demonstration: a generated world, where training begins, its controls and its report."""
