"""What can be ranked without a label."""
