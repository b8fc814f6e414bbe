"""A process, mostly of the command: its output as it comes, its end, and its removal by pid."""

import asyncio
import re
import time

from support.check import Failed
from support.patience import stretched


class Process:
    """Started once; both outputs are drained all the time, so that it never blocks on a full pipe."""

    def __init__(self, process: asyncio.subprocess.Process, arguments, name: str):
        self.process = process
        self.name = name
        self.arguments = list(arguments)
        self.out = bytearray()
        self.err = bytearray()
        self.started = time.monotonic()
        self._changed = asyncio.Condition()
        self._drains = [
            asyncio.ensure_future(self._drain(process.stdout, self.out)),
            asyncio.ensure_future(self._drain(process.stderr, self.err)),
        ]

    @staticmethod
    async def start(
        program, *arguments, stdin=asyncio.subprocess.DEVNULL, environment=None, cwd=None, name="khp", **how
    ) -> "Process":
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd=cwd,
            **how,
        )
        return Process(process, arguments, name)

    async def _drain(self, stream, into: bytearray) -> None:
        while chunk := await stream.read(65536):
            into += chunk
            async with self._changed:
                self._changed.notify_all()
        async with self._changed:
            self._changed.notify_all()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def status(self):
        return self.process.returncode

    async def see(self, pattern: str, *, on: str = "err", within: float = 15.0) -> re.Match:
        """Waits until the output matches."""
        expression = re.compile(pattern.encode(), re.MULTILINE)
        buffer = self.err if on == "err" else self.out

        async def look():
            async with self._changed:
                while not (match := expression.search(bytes(buffer))):
                    if all(drain.done() for drain in self._drains):
                        raise Failed(f"{self.describe()} ended without showing {pattern!r}")
                    await self._changed.wait()
                return match

        try:
            return await asyncio.wait_for(look(), stretched(within))
        except asyncio.TimeoutError:
            raise Failed(f"{self.describe()} did not show {pattern!r} within {within} s") from None

    async def until(self, condition, what: str, within: float = 15.0) -> None:
        """Waits until something holds that its output decides; asked again with each new piece of it."""

        async def look():
            async with self._changed:
                while not condition():
                    if all(drain.done() for drain in self._drains):
                        raise Failed(f"{self.describe()} ended before {what}")
                    await self._changed.wait()

        try:
            await asyncio.wait_for(look(), stretched(within))
        except asyncio.TimeoutError:
            raise Failed(f"{self.describe()}: {what} did not come within {within} s") from None

    async def write(self, data: bytes) -> None:
        self.process.stdin.write(data)
        await self.process.stdin.drain()

    def end_input(self) -> None:
        self.process.stdin.close()

    async def ended(self, within: float = 10.0) -> int:
        """Waits for the end; the exit status, negative for a signal."""
        try:
            await asyncio.wait_for(self.process.wait(), stretched(within))
        except asyncio.TimeoutError:
            raise Failed(f"{self.describe()} did not end within {within} s") from None
        await asyncio.gather(*self._drains)
        return self.process.returncode

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def remove(self) -> None:
        """Ends it whatever it does."""
        if self.process.returncode is None:
            try:
                self.process.kill()
            except ProcessLookupError:
                pass
            await self.process.wait()
        for drain in self._drains:
            drain.cancel()
        await asyncio.gather(*self._drains, return_exceptions=True)
        if self.process.stdin is not None:
            self.process.stdin.close()

    def describe(self) -> str:
        short = (text if len(text) <= 120 else f"{text[:60]}… ({len(text)} characters)" for text in self.arguments)
        return " ".join([self.name, *short])

    def context(self) -> str:
        """The output that explains a failed case."""
        lines = [f"$ {self.describe()}", f"  status {self.process.returncode}"]
        for name, buffer in (("out", self.out), ("err", self.err)):
            text = bytes(buffer[-1500:]).decode("utf-8", "backslashreplace")
            lines += [f"  {name}| {line}" for line in text.splitlines()[-12:]]
        return "\n".join(lines)


async def resident_kilobytes(pid: int) -> int:
    """Resident memory of a process, the same way on Linux and macOS."""
    ps = await asyncio.create_subprocess_exec("ps", "-o", "rss=", "-p", str(pid), stdout=asyncio.subprocess.PIPE)
    output, _ = await ps.communicate()
    if not output.strip():
        raise Failed(f"process {pid} is gone")
    return int(output)
