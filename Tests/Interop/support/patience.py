"""How much slower and larger than usual the command may be: a sanitizer makes it both."""

# The bounds of waits are multiplied by this. No wait lasts longer for it, unless it is in vain.
factor = 1.0
# False where the command's memory is mostly a sanitizer's.
measures_memory = True


def stretched(seconds: float) -> float:
    return seconds * factor
