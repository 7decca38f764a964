"""Readers of public data sets as they are released, one module each."""
