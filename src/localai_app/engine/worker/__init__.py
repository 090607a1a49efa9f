"""The child program that runs a model: the only code that touches llama_cpp."""
