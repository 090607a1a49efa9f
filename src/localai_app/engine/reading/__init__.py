"""How the text of a model is read: thinking, answer and tool calls, in the notation of each family."""
