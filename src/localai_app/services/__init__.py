"""Use cases: threads, queues, caches and events over the layers below; no Qt."""
