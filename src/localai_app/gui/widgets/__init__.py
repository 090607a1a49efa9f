"""Small widgets that pages are composed of."""
