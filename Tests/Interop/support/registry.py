"""The list of cases: a case is a behaviour with a name, a time limit and a coroutine that takes a Bench."""

import functools
from dataclasses import dataclass
from typing import Awaitable, Callable

CASES: list["Case"] = []


@dataclass(frozen=True)
class Case:
    topic: str
    name: str
    run: Callable[..., Awaitable[None]]
    timeout: float
    alone: bool

    @property
    def title(self) -> str:
        return f"{self.topic}: {self.name}"


def behaviour(name: str, *, rows=None, timeout: float = 30.0, alone: bool = False):
    """Registers a coroutine as a case, or as one case for each row: (label, further arguments …).

    `alone` keeps others from running at the same time, for what measures time or memory.
    """

    def register(function):
        topic = function.__module__.rpartition(".")[2]
        if rows is None:
            CASES.append(Case(topic, name, function, timeout, alone))
            return function
        for label, *arguments in rows:
            run = functools.partial(_with_arguments, function, tuple(arguments))
            CASES.append(Case(topic, f"{name}: {label}", run, timeout, alone))
        return function

    return register


async def _with_arguments(function, arguments, bench):
    await function(bench, *arguments)
