"""Scoring images with a trained scorer."""
