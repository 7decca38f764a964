"""From datasets to seeded batches."""
