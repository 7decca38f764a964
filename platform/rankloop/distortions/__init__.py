"""Distortions h(x, φ) of images."""
