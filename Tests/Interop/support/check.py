"""Checks that say what they saw."""


class Failed(AssertionError):
    """A behaviour that is not as it should be."""


class Skipped(Exception):
    """A peer that takes long to build, and that is not here."""


def check(condition, message: str) -> None:
    if not condition:
        raise Failed(message)


def equal(actual, expected, what: str) -> None:
    if actual != expected:
        raise Failed(f"{what}: {_short(actual)}, expected {_short(expected)}")


def among(actual, allowed, what: str) -> None:
    if actual not in allowed:
        raise Failed(f"{what}: {_short(actual)}, expected one of {_short(list(allowed))}")


def holds(text, part, what: str) -> None:
    if part not in text:
        raise Failed(f"{what} does not hold {_short(part)}: {_short(text)}")


def lacks(text, part, what: str) -> None:
    if part in text:
        raise Failed(f"{what} holds {_short(part)}: {_short(text)}")


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 600 else text[:600] + f"… ({len(text)} characters)"
