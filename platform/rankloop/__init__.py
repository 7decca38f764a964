"""Train image scorers from rankings, on a laptop or a Ray cluster, with few human labels."""

__version__ = "0.1.0"
