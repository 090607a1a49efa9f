"""Painters for rows of lists and tables."""
