"""Runs the trials one after another and prints a table: the trial, what was seen, the time, the verdict."""

import argparse
import asyncio
import importlib
import logging
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time
import traceback

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "Interop")]

from support.bench import Bench, Environment  # noqa: E402  (the folders must be on the path first)
from support.check import Failed  # noqa: E402

from trials.trial import TRIALS, Trial  # noqa: E402

MODULES = ("ends", "pressure", "reloads", "health", "departures", "fleet", "brokers", "doors", "exhaustion")


async def one(trial, environment, options) -> tuple[bool, str]:
    bench = Bench(environment)
    random.seed(options.seed)
    failure = None
    seen = ""
    try:
        seen = await asyncio.wait_for(trial.run(Trial(bench, options.size)), trial.limit * options.slow)
    except asyncio.TimeoutError as error:
        # With the place that waits: the whole trial's time or a wait of its own.
        failure = f"{error or 'not done in time'}\n{traceback.format_exc()[-1500:]}"
    except Failed as error:
        failure = str(error)
    except Exception:  # noqa: BLE001  (whatever it is, it is this trial's failure)
        failure = traceback.format_exc().rstrip()
    if failure:
        print(f"FAIL {trial.name}\n{failure}\n{bench.context()}", file=sys.stderr)
    await bench.clean_up()
    return failure is None, seen or failure.splitlines()[0]


async def run(options) -> int:
    for name in MODULES:
        importlib.import_module(f"trials.{name}")
    words = options.words.lower().split()
    chosen = [trial for trial in TRIALS if all(word in f"{trial.topic}: {trial.name}".lower() for word in words)]
    folder = tempfile.mkdtemp(prefix="khp-trials-")
    failed = 0
    try:
        environment = await Environment.prepare(os.path.abspath(options.khp), folder, options.seed)
        print("| trial | seen | s | |\n|---|---|---:|---|")
        for trial in chosen:
            started = time.monotonic()
            passed, seen = await one(trial, environment, options)
            failed += not passed
            print(f"| {trial.name} | {seen} | {time.monotonic() - started:.0f} | {'ok' if passed else '**failed**'} |")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"\nseed {options.seed}, size {options.size}\n{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed or not chosen else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--khp", required=True, help="the command under test")
    parser.add_argument("-k", dest="words", default="", help="only trials whose topic or name holds all these words")
    parser.add_argument("--size", type=float, default=1.0, help="the share of sessions, reloads and restarts")
    parser.add_argument("--seed", type=int, default=20140124)
    parser.add_argument("--slow", type=float, default=1.0, help="stretches each trial's time limit")
    # Clients of others say at length that a connection has ended.
    logging.disable(logging.CRITICAL)
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
