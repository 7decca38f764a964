"""Ranking losses: torch functions of scores, one per file."""
