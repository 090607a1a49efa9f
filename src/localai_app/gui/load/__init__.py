"""The load panel: how a model is loaded, and what that needs."""
