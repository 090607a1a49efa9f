"""Parts of the Performance page."""
