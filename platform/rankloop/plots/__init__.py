"""Matplotlib figures, each a function from arrays to a Figure."""
