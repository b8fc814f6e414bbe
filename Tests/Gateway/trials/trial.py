"""A trial: a behaviour of the gateway that is watched for longer than CI has time for, and told in one line."""

import asyncio
import contextlib
import inspect
import os
from dataclasses import dataclass
from typing import Awaitable, Callable

from support.brokers import Gateway, gateway
from support.check import Failed, check

TRIALS: list["Registered"] = []


@dataclass(frozen=True)
class Registered:
    topic: str
    name: str
    run: Callable[["Trial"], Awaitable[str]]
    limit: float


def trial(name: str, limit: float = 120.0):
    """Registers a coroutine that takes a Trial and returns what it saw, within `limit` seconds."""

    def register(function):
        TRIALS.append(Registered(function.__module__.rpartition(".")[2], name, function, limit))
        return function

    return register


class Trial:
    """The tools of a trial: the bench of the interop cases, and the size of the run."""

    def __init__(self, bench, size: float):
        self.bench = bench
        self.size = size

    def times(self, count: int) -> int:
        """How often, at this size."""
        return max(1, round(count * self.size))

    async def gateway(self, services: str, pools: str, more: str = "") -> Gateway:
        return await gateway(self.bench, services, pools, more)

    def keep_task(self, coroutine) -> asyncio.Task:
        """A task that ends with the trial."""
        task = asyncio.ensure_future(coroutine)
        self.bench.keep(_Ended(task))
        return task


class _Ended:
    def __init__(self, task):
        self.task = task

    def context(self) -> str:
        return ""

    async def clean_up(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self.task


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid: int) -> int:
    """Bytes of a process in memory."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def until(condition, what, within: float = 20.0):
    """Asks again and again: for what only the system, or an address that has to be asked, can tell. What it answers in the
    end; `what` says it, or is asked."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if asyncio.get_running_loop().time() > deadline:
            raise Failed(f"{what() if callable(what) else what}: not within {within:.0f} s")
        await asyncio.sleep(0.02)


async def ask(door: Gateway, path: str, method: str = "GET") -> tuple[int, str]:
    return await asyncio.to_thread(door.ask, path, method)


async def metrics(door: Gateway) -> dict[str, float]:
    _, text = await ask(door, "/metrics")
    return {name: float(value) for name, value in
            (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))}  # fmt: skip


# The metrics that count what lives.
LEFT = ("khp_sessions{", "khp_buffered_bytes", "khp_backend_connections{", "khp_listener_connections{")
# Descriptors that the runtime opens once, with the first timer of each of its queues.
ONCE = 4


class Rest:
    """The descriptors and the memory of a gateway before its clients come, which is what it must come back to."""

    def __init__(self, door: Gateway):
        self.door = door
        self.files = open_files(door.process.pid)
        self.memory = resident(door.process.pid)

    async def is_back(self, memory: float = 40e6) -> str:
        """Nothing is left of the sessions: descriptors, seats, buffers. What it kept of memory."""
        pid = self.door.process.pid
        await until(
            lambda: open_files(pid) <= self.files + ONCE,
            lambda: f"{open_files(pid)} descriptors, {self.files} before",
        )
        left = {"metrics": 1.0}
        deadline = asyncio.get_running_loop().time() + 20
        while left:
            check(asyncio.get_running_loop().time() < deadline, f"what is left of the sessions: {left}")
            left = {
                name: value for name, value in (await metrics(self.door)).items() if value and name.startswith(LEFT)
            }
        kept = resident(pid) - self.memory
        check(kept < memory, f"{kept / 1e6:.1f} MB are kept behind the sessions")
        return f"{max(kept, 0) / 1e6:.1f} MB kept"


def causes(door: Gateway) -> dict[str, int]:
    """How many sessions ended of which cause."""
    counts: dict[str, int] = {}
    for line in door.lines("session.end"):
        counts[line["cause"]] = counts.get(line["cause"], 0) + 1
    return counts
