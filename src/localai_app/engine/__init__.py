"""Engines: the protocol, the client that starts and watches a worker, and the worker itself."""
