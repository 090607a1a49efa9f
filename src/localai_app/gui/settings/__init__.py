"""Controls of the settings page, made from the declared settings."""
