"""Parts of the first page and the Models page."""
