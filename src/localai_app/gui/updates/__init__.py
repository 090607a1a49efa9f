"""What the window says of newer versions: a line that can be sent away, the notes with their buttons, and the card About."""
