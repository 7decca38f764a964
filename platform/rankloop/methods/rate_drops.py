"""Learning rates that fall to a tenth, evenly over a phase of training."""


def dropped_rate(rate: float, step: int, phase: tuple[int, int], drops: int) -> float:
    """Return the rate of a step.

    Args:
        rate: at the beginning of the phase.
        step: within the phase.
        phase: first step, and one past the last.
        drops: how often the rate falls to a tenth.
    """
    start, stop = phase
    return float(rate * 0.1 ** ((step - start) * (drops + 1) // (stop - start)))
