"""Active learning by ranking certainty: whom to ask about next, round after round."""
