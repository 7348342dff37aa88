"""Training rows that say what held-out rows say: shared runs of words, and whole rows."""
