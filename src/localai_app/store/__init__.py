"""Chats, downloads, library and measurements in one SQLite file."""
