"""Runs cases side by side, each within its time, and reports."""

import asyncio
import shutil
import tempfile
import time
import traceback

from support.bench import Bench, Environment
from support.check import Failed, Skipped


async def run(cases, khp: str, options) -> int:
    folder = tempfile.mkdtemp(prefix="khp-interop-")
    try:
        environment = await Environment.prepare(khp, folder, options.seed, options.examples, options.hummingbird)
        return await _Run(cases, environment, options).all()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Run:
    def __init__(self, cases, environment, options):
        self.cases = cases
        self.environment = environment
        self.options = options
        self.passed = 0
        self.skipped = 0
        self.failed: list[str] = []
        self.times: dict[str, float] = {}

    async def all(self) -> int:
        started = time.monotonic()
        queue = [case for case in self.cases if not case.alone]
        queue.reverse()

        async def worker():
            while queue:
                await self.one(queue.pop())

        await asyncio.gather(*(worker() for _ in range(max(1, self.options.width))))
        for case in self.cases:
            if case.alone:
                await self.one(case)
        self.report(time.monotonic() - started)
        return 1 if self.failed or not self.passed else 0

    async def one(self, case) -> None:
        started = time.monotonic()
        failure = None
        reason = None
        bench = Bench(self.environment)
        limit = case.timeout * self.options.slow
        try:
            await asyncio.wait_for(case.run(bench), limit)
            await asyncio.wait_for(bench.verdict(), limit)
        except asyncio.TimeoutError as error:
            # Either a wait of a peer, which says for what, or the whole case.
            failure = str(error) or f"not done after {limit:.0f} s"
        except Failed as error:
            failure = str(error)
        except Skipped as error:
            reason = str(error)
        except Exception:  # noqa: BLE001  (whatever it is, it is this case's failure)
            failure = traceback.format_exc().rstrip()
        finally:
            context = bench.context() if failure else ""
            await bench.clean_up()
        seconds = time.monotonic() - started
        self.times[case.topic] = self.times.get(case.topic, 0) + seconds
        if failure:
            self.failed.append(case.title)
            print(f"FAIL {case.title} ({seconds:.2f} s)\n{_indented(failure)}")
            if context:
                print(_indented(context))
        elif reason:
            self.skipped += 1
            print(f"skip {case.title}: {reason}")
        else:
            self.passed += 1
            if self.options.verbose:
                print(f"  ok {case.title} ({seconds:.2f} s)")

    def report(self, seconds: float) -> None:
        print()
        for topic, spent in self.times.items():
            print(f"{topic:<28}{sum(case.topic == topic for case in self.cases):>5} cases {spent:>7.1f} s")
        if self.failed:
            print("\nfailed:")
            for title in self.failed:
                print(f"  {title}")
        print(f"\nin {seconds:.0f} s, seed {self.options.seed}")
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {len(self.failed)} failed{skipped}")


def _indented(text: str) -> str:
    return "\n".join("     " + line for line in text.splitlines())
