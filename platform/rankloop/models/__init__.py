"""Torch modules: backbones and scorers."""
