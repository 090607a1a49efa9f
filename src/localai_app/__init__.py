"""Local AI: find out which language models this computer can run, fetch them and chat with them."""

__version__ = "0.1.0"
