"""GGUF files: a bounded header reader, the tensor table and the dimensions that decide memory and speed."""
