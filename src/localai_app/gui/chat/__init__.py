"""The widgets of the chat page; Markdown, thinking and text rules are modules of their own without Qt."""
