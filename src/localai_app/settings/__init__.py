"""Settings: declared once as data, kept in one JSON file."""
