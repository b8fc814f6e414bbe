"""Runs the interop suite: collects the cases of cases/, runs them side by side, and says how many passed."""

import argparse
import asyncio
import importlib
import logging
import os
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from support import patience, registry, runner  # noqa: E402  (the folder must be on the path first)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--khp", required=True, help="the command under test")
    parser.add_argument("--examples", required=True, help="the folder with the programs of Examples")
    parser.add_argument("--hummingbird", default="", help="the program of Examples/HummingbirdServer, where it is built")
    parser.add_argument("-k", dest="words", default="", help="only cases whose topic or name holds all these words")
    parser.add_argument("-j", dest="width", type=int, default=8, help="how many cases run at once")
    parser.add_argument(
        "--without-foreign", action="store_true",
        help="leave out the cases that need Debian's packages (those of modules that say FOREIGN)",
    )  # fmt: skip
    parser.add_argument("-v", dest="verbose", action="store_true", help="name the cases that pass as well")
    parser.add_argument("--seed", type=int, default=20140124, help="of the random bytes")
    parser.add_argument("--slow", type=float, default=1.0, help="stretches the time limits of cases and of waits")
    parser.add_argument(
        "--sanitized", action="store_true",
        help="the command is under a sanitizer: ten times slower, and its memory tells nothing",
    )  # fmt: skip
    options = parser.parse_args()
    if options.sanitized:
        options.slow *= 10
        patience.measures_memory = False
    patience.factor = options.slow
    foreign = set()
    for path in sorted((FOLDER / "cases").glob("*.py")):
        if path.stem != "__init__":
            module = importlib.import_module(f"cases.{path.stem}")
            if getattr(module, "FOREIGN", False):
                foreign.add(path.stem)
    # The peers of hostile cases complain; the cases say what matters.
    logging.disable(logging.CRITICAL)
    words = options.words.lower().split()
    chosen = [case for case in registry.CASES if all(word in case.title.lower() for word in words)]
    if options.without_foreign:
        chosen = [case for case in chosen if case.topic not in foreign]
    khp = os.path.abspath(options.khp)
    return asyncio.run(runner.run(chosen, khp, options))


if __name__ == "__main__":
    sys.exit(main())
