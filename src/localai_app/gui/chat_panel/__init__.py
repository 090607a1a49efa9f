"""The side panel of the chat page: what is set for one chat."""
