"""Every use case as a command, over the same services as the window."""
