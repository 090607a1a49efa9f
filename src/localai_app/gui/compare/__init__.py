"""The Compare page in parts: contestants, prompt, columns, votes, and the views of the other tabs."""
