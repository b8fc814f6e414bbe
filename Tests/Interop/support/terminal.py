"""The command at a terminal: a pseudo-terminal that is its controlling one, with somebody who reads and types."""

import asyncio
import os
import pty
import re
import termios
from pathlib import Path

from support.check import Failed
from support.patience import stretched


class Terminal:
    """Standard input and error are the terminal; standard output too unless it is to be a pipe, as behind `>`."""

    def __init__(self, process, descriptor: int, arguments):
        self.process = process
        self.descriptor = descriptor
        self.arguments = list(arguments)
        self.screen = bytearray()
        self.out = bytearray()
        self._seen = 0
        self._changed = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, self._readable)

    # The first terminal that the leader of a session opens controls it. Python of ours between fork and exec can hang, when a
    # thread of the parent's held a lock.
    CONTROLLED = 'exec "$@" <>"$0"'

    @classmethod
    async def start(cls, program, *arguments, environment=None, output_to_pipe=False) -> "Terminal":
        master, slave = pty.openpty()
        os.set_blocking(master, False)

        try:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                cls.CONTROLLED,
                os.ttyname(slave),
                program,
                *arguments,
                stdin=slave,
                stdout=asyncio.subprocess.PIPE if output_to_pipe else slave,
                stderr=slave,
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(slave)
        return Terminal(process, master, arguments)

    def _readable(self) -> None:
        try:
            data = os.read(self.descriptor, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.screen += data
        else:
            asyncio.get_running_loop().remove_reader(self.descriptor)
        self._changed.set()

    async def see(self, pattern: str, within: float = 10.0) -> re.Match:
        """Waits until something new on the screen matches."""
        expression = re.compile(pattern.encode())

        async def look():
            while True:
                self._changed.clear()
                if match := expression.search(bytes(self.screen), self._seen):
                    self._seen = match.end()
                    return match
                await self._changed.wait()

        try:
            return await asyncio.wait_for(look(), stretched(within))
        except asyncio.TimeoutError:
            raise Failed(f"the screen did not show {pattern!r} within {within} s: {bytes(self.screen)!r}") from None

    @property
    def echoes(self) -> bool:
        """True while keys are echoed."""
        return bool(termios.tcgetattr(self.descriptor)[3] & termios.ECHO)

    async def stopped(self, within: float = 10.0) -> None:
        """Waits until the process is stopped. Nothing tells it but the table of processes."""

        async def look():
            while self._state() != "T":
                await asyncio.sleep(0.01)

        try:
            await asyncio.wait_for(look(), stretched(within))
        except asyncio.TimeoutError:
            raise Failed(f"khp {' '.join(self.arguments)} did not stop within {within} s") from None

    def _state(self) -> str:
        with open(f"/proc/{self.process.pid}/stat") as status:
            return status.read().rpartition(") ")[2][0]

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    async def ended(self, within: float = 10.0) -> int:
        async def wait():
            if self.process.stdout is not None:
                self.out += await self.process.stdout.read()
            return await self.process.wait()

        try:
            return await asyncio.wait_for(wait(), stretched(within))
        except asyncio.TimeoutError:
            raise Failed(f"khp {' '.join(self.arguments)} did not end within {within} s: {self._threads()}") from None

    def _threads(self) -> str:
        """Each thread of the process: its name, its state and the place in the kernel where it waits."""
        told = []
        for task in sorted(Path(f"/proc/{self.process.pid}/task").glob("*")):
            try:
                words = [(task / name).read_text() for name in ("comm", "stat", "wchan")]
            except OSError:
                continue
            told.append(f"{words[0].strip()} {words[1].rpartition(') ')[2][0]} {words[2]}")
        return ", ".join(told)

    async def remove(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        asyncio.get_running_loop().remove_reader(self.descriptor)
        os.close(self.descriptor)

    def context(self) -> str:
        return f"$ khp {' '.join(self.arguments)}   (at a terminal)\n  screen {bytes(self.screen[-1500:])!r}"
