"""Template files and rows into inputs, targets and answer choices."""
