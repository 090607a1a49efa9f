"""Comparing models on the same prompts: what is compared, in which order, how answers are checked and judged. Pure."""
