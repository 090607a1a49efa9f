"""Checks that need a GPU: what is detected, predicted and computed, beside what the driver measures."""
