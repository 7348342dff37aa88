"""From tables and rows to batches: sources, tasks, mixtures, the cache, the feed."""
