"""What exists: curated language models with their dimensions, sizes, scores and sources."""
