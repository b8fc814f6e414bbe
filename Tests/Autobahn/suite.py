#!/usr/bin/env python3
"""Runs Autobahn|Testsuite against this package, in either role and over the extended handshake.

    suite.py server|client|extended [--cases 1.*,7.*] [--jobs N] [--report FOLDER]

server    the suite's fuzzing client against our server
client    our client against the suite's fuzzing server
extended  as `server`, with a relay between that completes x-kaazing-handshake, extensions negotiated inside

A case passes when the suite says OK or INFORMATIONAL for both its behaviour and its closing; NON-STRICT passes only when
`allowed.json` gives the reason. A case that was selected and left no result fails. The last line is `N passed, N failed`.
"""

import argparse
import asyncio
import collections
import json
import os
import pathlib
import signal
import socket
import sys
import tempfile

import install
import relay

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
GROUPS = {
    "1": "Framing",
    "2": "Pings and pongs",
    "3": "Reserved bits",
    "4": "Opcodes",
    "5": "Fragmentation",
    "6": "UTF-8",
    "7": "Closing",
    "9": "Limits and performance",
    "10": "Auto-fragmentation",
    "12": "permessage-deflate, defaults",
    "13": "permessage-deflate, parameters",
}


class Suite:
    def __init__(self, options):
        self.options = options
        self.command, self.environment = install.wstest(options.home)
        self.report = pathlib.Path(options.report or tempfile.mkdtemp(prefix="autobahn-"))
        self.report.mkdir(parents=True, exist_ok=True)
        self.processes = []

    async def start(self, *words, **options):
        process = await asyncio.create_subprocess_exec(*map(str, words), **options)
        self.processes.append(process)
        return process

    async def stop(self):
        for process in self.processes:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                await asyncio.wait_for(process.wait(), 10)
            except asyncio.TimeoutError:
                process.kill()
                await process.wait()

    async def wstest(self, folder, specification, *, mode):
        (folder / "specification.json").write_text(json.dumps(specification))
        log = open(folder / "suite.log", "wb")
        words = [*self.command, "-m", mode, "-s", folder / "specification.json"]
        if mode == "fuzzingserver":
            words += ["-u", "0"]
        environment = dict(self.environment, AUTOBAHN_READY=str(folder / "ready"))
        return await self.start(*words, env=environment, stdout=log, stderr=log)

    async def cases(self):
        process = await asyncio.create_subprocess_exec(
            *self.command, "cases", *self.options.cases.split(","), env=self.environment, stdout=asyncio.subprocess.PIPE
        )
        listed, _ = await process.communicate()
        selected = listed.decode().split()
        if not selected:
            sys.exit(f"autobahn: no case is named {self.options.cases}")
        return selected

    async def our_server(self):
        process = await self.start(self.options.peer, "serve", stdout=asyncio.subprocess.PIPE)
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        return int(line.split()[-1])

    async def test_server(self, selected, *, extended):
        port = await self.our_server()
        listener = between = None
        if extended:
            between = relay.Relay("127.0.0.1", port, "/")
            listener, port = await between.start()
        jobs = []
        for number in range(min(self.options.jobs, len(selected))):
            folder = self.report / f"job-{number}"
            folder.mkdir(exist_ok=True)
            mine = selected[number :: self.options.jobs]
            specification = {
                "outdir": str(folder),
                "servers": [{"url": f"ws://127.0.0.1:{port}", "agent": "swift-khp"}],
                "cases": mine,
                "exclude-cases": [],
                "exclude-agent-cases": {},
            }
            jobs.append(await self.wstest(folder, specification, mode="fuzzingclient"))
        for job in jobs:
            await job.wait()
        if extended:
            listener.close()
            if between.completed < len(selected):
                print(f"autobahn: only {between.completed} connections completed the extended handshake")
        return self.results(self.report.glob("job-*/index.json"))

    async def test_client(self, selected):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        folder = self.report / "job-0"
        folder.mkdir(exist_ok=True)
        ready = folder / "ready"
        ready.unlink(missing_ok=True)
        specification = {
            "url": f"ws://127.0.0.1:{port}",
            "outdir": str(folder),
            "cases": selected,
            "exclude-cases": [],
            "exclude-agent-cases": {},
        }
        server = await self.wstest(folder, specification, mode="fuzzingserver")
        for _ in range(200):
            if ready.exists() or server.returncode is not None:
                break
            # A file tells nobody that it is there; this is the look's interval, not a wait.
            await asyncio.sleep(0.05)
        url = f"ws://127.0.0.1:{port}"
        jobs = self.options.jobs
        runs = [
            await self.start(self.options.peer, "run", url, "swift-khp", len(selected), number, jobs)
            for number in range(jobs)
        ]
        for run in runs:
            await run.wait()
        report = await self.start(self.options.peer, "report", url, "swift-khp")
        await report.wait()
        return self.results([folder / "index.json"])

    @staticmethod
    def results(files):
        results = {}
        for file in files:
            if file.exists():
                for cases in json.loads(file.read_text()).values():
                    results.update(cases)
        return results


def summarize(selected, results, allowed):
    """One line for each group and each case that is not simply OK; returns how many passed and failed."""
    passed = failed = 0
    groups = collections.defaultdict(collections.Counter)
    remarks = []
    for case in selected:
        result = results.get(case)
        behaviour = result["behavior"] if result else "MISSING"
        closing = result["behaviorClose"] if result else "MISSING"
        fine = behaviour in ("OK", "INFORMATIONAL") and closing in ("OK", "INFORMATIONAL")
        excused = behaviour == "NON-STRICT" and closing in ("OK", "INFORMATIONAL") and case in allowed
        groups[case.split(".")[0]][behaviour if closing in ("OK", "INFORMATIONAL") else f"closing {closing}"] += 1
        if fine or excused:
            passed += 1
        else:
            failed += 1
        if not fine:
            remarks.append(f"  {case}: {behaviour}, closing {closing}" + (f" ({allowed[case]})" if excused else ""))
    for group in sorted(groups, key=int):
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(groups[group].items()))
        print(f"  {group:>2} {GROUPS.get(group, ''):<32} {counts}")
    for remark in remarks:
        print(remark)
    return passed, failed


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=["server", "client", "extended"])
    parser.add_argument("--cases", default="*", help="patterns, separated by commas")
    parser.add_argument("--jobs", type=int, default=2, help="how many run side by side")
    parser.add_argument("--report", help="keep the suite's reports in this folder")
    parser.add_argument("--home", default=ROOT / ".build/autobahn", help="where install.py put the suite")
    parser.add_argument("--peer", default=ROOT / ".build/debug/autobahn-peer", help="our side")
    options = parser.parse_args()
    suite = Suite(options)
    selected = await suite.cases()
    try:
        if options.role == "client":
            results = await suite.test_client(selected)
        else:
            results = await suite.test_server(selected, extended=options.role == "extended")
    finally:
        await suite.stop()
    print(f"autobahn {options.role}: {len(selected)} cases, reports in {suite.report}")
    allowed = json.loads((HERE / "allowed.json").read_text())[options.role]
    passed, failed = summarize(selected, results, allowed)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
