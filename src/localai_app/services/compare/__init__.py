"""Comparing installed models: the runs behind the Compare page."""
