"""Sweeps and comparisons over Ray Tune and Optuna."""
