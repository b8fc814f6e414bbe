#!/usr/bin/env python3
"""Shows that scripts/check-supply.py goes red: a small repository that it finds nothing in, and one bad change at a time."""

import contextlib
import copy
import importlib.util
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
specification = importlib.util.spec_from_file_location("supply", Path(__file__).with_name("check-supply.py"))
supply = importlib.util.module_from_spec(specification)
specification.loader.exec_module(supply)

PAGE = """\
# Dependencies

## The library

| package | versions | licence | resolved by | needed by | for |
|---|---|---|---|---|---|
| [swift-nio](https://github.com/apple/swift-nio.git) | `2.98.0..<3.0.0` | Apache-2.0 | everybody | the library | sockets |
| [swift-atomics](https://github.com/apple/swift-atomics.git) | `1.0.0..<2.0.0` | Apache-2.0 WITH Swift-exception | everybody | swift-nio | |
| [swift-metrics](https://github.com/apple/swift-metrics.git) | `2.5.0..<3.0.0` | Apache-2.0 | `Metrics` | the library | |

## The command

| package | versions | licence | needed by | for |
|---|---|---|---|---|
| [swift-nio](https://github.com/apple/swift-nio.git) | `2.101.0..<3.0.0` | Apache-2.0 | the command | sockets |
| [Yams](https://github.com/jpsim/Yams.git) | `6.2.0..<7.0.0` | MIT | the command | YAML |

## Libraries of the system

| target | library | Debian | Homebrew | licence | manifest | for |
|---|---|---|---|---|---|---|
| `COpenSSL` | libcrypto | `libssl-dev` | `openssl@3` | Apache-2.0 | the library | digests |
| `CCrypt` | libcrypt | `libcrypt-dev` | none | LGPL-2.1-or-later | the library | hashes |
"""
APACHE = "   Apache License\n     Version 2.0, January 2004\n"
SWIFT = APACHE + "## Runtime Library Exception to the Apache 2.0 License: ##\n"
RELEASE = 'enum Release {\n    package static let version = "1.2.3"\n}\n'
MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy\n"


def remote(address, lower, upper):
    location = {"remote": [{"urlString": address}]}
    required = {"range": [{"lowerBound": lower, "upperBound": upper}]}
    return {"sourceControl": [{"identity": supply.identity(address), "location": location, "requirement": required}]}


def product(name, package, traits=()):
    return {"product": [name, package, None, {"platformNames": [], "traits": list(traits)} if traits else None]}


def pin(address, version):
    state = {"revision": "0123456789abcdef0123456789abcdef01234567", "version": version}
    return {"identity": supply.identity(address), "kind": "remoteSourceControl", "location": address, "state": state}


class World:
    """The repository as the script sees it: manifests, a page, what was resolved, the licences of the checkouts."""

    def __init__(self, root):
        nio, atomics = "https://github.com/apple/swift-nio.git", "https://github.com/apple/swift-atomics.git"
        metrics, yams = "https://github.com/apple/swift-metrics.git", "https://github.com/jpsim/Yams.git"
        openssl = {"name": "COpenSSL", "type": "system", "dependencies": [], "providers": [{"apt": [["libssl-dev"]]}, {"brew": [["openssl@3"]]}]}
        crypt = {"name": "CCrypt", "type": "system", "dependencies": [], "providers": [{"apt": [["libcrypt-dev"]]}]}
        server = {"name": "Server", "type": "regular", "dependencies": [{"byName": ["COpenSSL", None]}, product("NIOCore", "swift-nio")]}
        meters = {"name": "Meters", "type": "regular", "dependencies": [product("CoreMetrics", "swift-metrics", ["Metrics"])]}
        command = {"name": "khp", "type": "regular", "dependencies": [product("NIOCore", "swift-nio"), product("Yams", "Yams")]}
        self.root = root
        self.page = PAGE
        self.manifests = {
            "library": {
                "dependencies": [remote(nio, "2.98.0", "3.0.0"), remote(metrics, "2.5.0", "3.0.0")],
                "targets": [openssl, crypt, server, meters],
            },
            "command": {
                "dependencies": [
                    {"fileSystem": [{"identity": "swift-khp", "path": str(root)}]},
                    remote(nio, "2.101.0", "3.0.0"), remote(yams, "6.2.0", "7.0.0"),
                ],
                "targets": [command],
            },
        }
        self.pins = {
            "library": [pin(nio, "2.101.2"), pin(atomics, "1.3.0")],
            "command": [pin(nio, "2.101.2"), pin(atomics, "1.3.0"), pin(yams, "6.2.2")],
        }
        self.metered = [*copy.deepcopy(self.pins["library"]), pin(metrics, "2.13.0")]
        self.licences = {"swift-nio": APACHE, "swift-atomics": SWIFT, "swift-metrics": APACHE, "Yams": MIT}

    # Short names for what the bad changes change.

    def named(self, package, name):
        entries = (entry["sourceControl"][0] for entry in self.manifests[package]["dependencies"] if "sourceControl" in entry)
        return next(entry for entry in entries if entry["identity"] == name)

    def replace(self, old, new):
        assert old in self.page, old
        self.page = self.page.replace(old, new, 1)

    def write(self):
        files = {supply.PAGE: self.page, "Command/Sources/KHPGateway/Admin/Release.swift": RELEASE, "user/Package.resolved": json.dumps({"pins": self.metered})}
        for package, folder in supply.PACKAGES.items():
            if self.pins[package] is not None:
                files[f"{folder}/Package.resolved"] = json.dumps({"pins": self.pins[package]})
        for name, text in self.licences.items():
            files[f".build/checkouts/{name}/{'LICENSE.txt' if text else 'README.md'}"] = text
        for name, text in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)

    def problems(self):
        self.write()
        return supply.check(self.root, self.manifests)[0]

    def problems_with_traits(self, traits=("Metrics",)):
        self.write()
        return supply.check_elsewhere(self.root, self.root / "user", list(traits), self.root / ".build/checkouts")[0]


def address(package, name, url):
    def change(world):
        world.named(package, name)["location"]["remote"][0]["urlString"] = url
    return change


def asked(package, name, **requirement):
    return lambda world: world.named(package, name).update(requirement=requirement)


def asked_range(name, lower, upper):
    return asked("library", name, range=[{"lowerBound": lower, "upperBound": upper}])


def pinned(package, index, **changes):
    return lambda world: world.pins[package][index].update(changes)


def depend(entry):
    return lambda world: world.manifests["library"]["dependencies"].append(entry)


def replaced(old, new):
    return lambda world: world.replace(old, new)


def left_out(start):
    """Takes the first line of the page away that begins so."""
    return lambda world: world.replace(next(line for line in PAGE.splitlines() if line.startswith(start)) + "\n", "")


ROGUE = "https://github.com/somebody/rogue.git"
ATOMICS_ELSEWHERE = "https://github.com/somebody/swift-atomics.git"
METRICS = next(line for line in PAGE.splitlines(keepends=True) if line.startswith("| [swift-metrics]"))
NO_VERSION = {"revision": "0" * 40, "branch": "main"}

# The change, and a part of each sentence that is said about it.
BAD = {
    "a package that the page does not have": (
        depend(remote(ROGUE, "1.0.0", "2.0.0")),
        ["Package.swift: no target uses rogue", "Package.swift: rogue has no row"]),
    "a row lost": (left_out("| [swift-metrics]"), ["swift-metrics has no row in Specs/dependencies.md that says that the library needs it"]),
    "a row of the command lost": (
        left_out("| [Yams]"),
        ["Command/Package.swift: yams has no row", "what the command resolves has yams 6.2.2, which"]),
    "a package that the manifest has dropped": (
        lambda world: world.manifests["library"]["dependencies"].pop(), ["the library does not need swift-metrics any more"]),
    "a package that no target uses": (lambda world: world.manifests["library"]["targets"].pop(), ["no target uses swift-metrics"]),
    "a trait that the page does not know": (
        lambda world: world.manifests["library"]["targets"].append({"name": "T", "type": "regular", "dependencies": [product("P", "swift-metrics", ["Other"])]}),
        ["swift-metrics is resolved by Other; Specs/dependencies.md does not say so"]),
    "a trait that is gone": (
        lambda world: world.manifests["library"]["targets"][3].update(dependencies=[product("P", "swift-metrics")]),
        ["swift-metrics is resolved by everybody; Specs/dependencies.md does not say so"]),
    "everybody said of a trait": (
        replaced("`Metrics`", "everybody, `Metrics`"),
        ["is resolved by Metrics; Specs/dependencies.md says by everybody", "what the library resolves does not have swift-metrics", "what the command resolves does not have swift-metrics"]),
    "a branch": (asked("library", "swift-nio", branch=["main"]), ["swift-nio is asked for by branch, not by versions"]),
    "a revision": (asked("library", "swift-nio", revision=["0" * 40]), ["swift-nio is asked for by revision, not by versions"]),
    "a registry": (
        depend({"registry": [{"identity": "apple.swift-nio", "requirement": {}}]}),
        ["apple.swift-nio comes from no address: it is of the kind registry"]),
    "a repository on a disk": (
        lambda world: world.named("library", "swift-nio").update(location={"local": ["/tmp/swift-nio"]}),
        ["swift-nio comes from no address", "the library does not need swift-nio any more"]),
    "a folder elsewhere": (depend({"fileSystem": [{"identity": "near", "path": "/tmp/near"}]}), ["near is a folder out of this repository"]),
    "a folder beside": (
        lambda world: depend({"fileSystem": [{"identity": "near", "path": f"{world.root}/../near"}]})(world), ["near is a folder out of this repository"]),
    "no upper bound": (
        asked_range("swift-nio", "2.98.0", "999.0.0"),
        ["swift-nio has no upper bound at the next major version: 2.98.0..<999.0.0"]),
    "two major versions": (asked_range("swift-nio", "2.98.0", "4.0.0"), ["swift-nio has no upper bound at the next major version"]),
    "a part of a second major version": (
        asked_range("swift-nio", "2.98.0", "3.0.1"),
        ["swift-nio has no upper bound at the next major version"]),
    "a lower bound that moved": (
        asked_range("swift-nio", "2.97.0", "3.0.0"),
        ["swift-nio is asked for as 2.97.0..<3.0.0; Specs/dependencies.md has 2.98.0..<3.0.0"]),
    "an exact version": (asked("library", "swift-nio", exact=["2.101.2"]), ["swift-nio is asked for as exactly 2.101.2"]),
    "a bound of the command that moved": (
        asked("command", "yams", range=[{"lowerBound": "6.0.0", "upperBound": "7.0.0"}]), ["Command/Package.swift: yams is asked for as 6.0.0..<7.0.0"]),
    "another owner": (
        address("library", "swift-nio", "https://github.com/somebody/swift-nio.git"), ["swift-nio is asked for at https://github.com/somebody/swift-nio.git"]),
    "another owner on the page": (
        replaced("apple/swift-metrics.git", "somebody/swift-metrics.git"), ["swift-metrics is asked for at https://github.com/apple/swift-metrics.git"]),
    "an address on the page elsewhere": (
        replaced("https://github.com/apple/swift-metrics.git", "https://example.com/apple/swift-metrics.git"),
        ["the address of swift-metrics is not of the form", "swift-metrics is asked for at"]),
    "a row without versions": (
        replaced("`1.0.0..<2.0.0`", "any"),
        ["a row has a package with its address, versions", "the library resolves has swift-atomics 1.3.0, which", "the command resolves has swift-atomics 1.3.0, which"]),
    "two rows": (lambda world: world.replace(METRICS, METRICS + METRICS), ["swift-metrics has two rows"]),
    "resolved from another address": (
        pinned("library", 1, location=ATOMICS_ELSEWHERE), ["the library resolves has swift-atomics from another address than https://github.com/apple/swift-atomics.git"]),
    "resolved from a disk": (pinned("command", 1, kind="localSourceControl"), ["the command resolves has swift-atomics from another address"]),
    "resolved by a branch": (pinned("library", 1, state=NO_VERSION), ["the library resolves has swift-atomics by a branch or revision"]),
    "resolved: the next major version": (
        pinned("library", 1, state={"version": "2.0.0"}),
        ["has swift-atomics 2.0.0; Specs/dependencies.md allows 1.0.0..<2.0.0"]),
    "resolved: older than the requirement": (
        pinned("library", 0, state={"version": "2.97.9"}),
        ["has swift-nio 2.97.9; Specs/dependencies.md allows 2.98.0..<3.0.0"]),
    "resolved: older than the command's": (pinned("command", 0, state={"version": "2.100.9"}), ["the command resolves has swift-nio 2.100.9"]),
    "resolved: a pre-release": (pinned("library", 1, state={"version": "1.4.0-beta.1"}), ["has swift-atomics 1.4.0-beta.1"]),
    "resolved: one more": (
        lambda world: world.pins["library"].append(pin(ROGUE, "1.0.0")), ["what the library resolves has rogue 1.0.0, which Specs/dependencies.md does not list there"]),
    "resolved: one of the command's by the library": (
        lambda world: world.pins["library"].append(world.pins["command"][2]), ["what the library resolves has yams 6.2.2, which"]),
    "resolved: one less": (lambda world: world.pins["library"].pop(), ["what the library resolves does not have swift-atomics any more"]),
    "nothing resolved": (lambda world: world.pins.update(command=None), ["Command/Package.resolved: build or resolve the package first"]),
    "no licence file": (lambda world: world.licences.update({"swift-nio": ""}), ["the checkout of swift-nio has no licence file"]),
    "another licence": (
        lambda world: world.licences.update({"swift-nio": MIT}),
        ["LICENSE.txt of swift-nio is MIT; Specs/dependencies.md has Apache-2.0"]),
    "an exception that is gone": (
        lambda world: world.licences.update({"swift-atomics": APACHE}),
        ["LICENSE.txt of swift-atomics is Apache-2.0; "]),
    "a licence that nobody knows": (
        lambda world: world.licences.update({"Yams": "All rights reserved"}),
        ["LICENSE.txt of Yams is of no kind that is known here"]),
    "no checkout": (lambda world: world.licences.pop("Yams"), ["has no checkout of Yams"]),
    "a library of the system lost": (left_out("| `COpenSSL`"), ["has no row for COpenSSL of the library"]),
    "a library of the system of another manifest": (
        replaced("Apache-2.0 | the library | digests", "Apache-2.0 | the command | digests"),
        ["has no row for COpenSSL of the library"]),
    "another Debian package": (replaced("`libssl-dev`", "`libssl1.0-dev`"), ["the Debian package of COpenSSL is libssl-dev"]),
    "a Homebrew package that is none": (
        replaced("`libcrypt-dev` | none", "`libcrypt-dev` | `crypt`"),
        ["the Homebrew package of CCrypt is none"]),
    "a library of the system dropped": (
        lambda world: world.manifests["library"]["targets"].pop(1),
        ["no manifest has the target CCrypt any more"]),
}
# The same for a package that uses the library with its trait.
BAD_WITH_TRAITS = {
    "one more": (lambda world: world.metered.append(pin(ROGUE, "1.0.0")), ["a user of the library with Metrics has rogue 1.0.0, which"]),
    "one less": (lambda world: world.metered.pop(), ["a user of the library with Metrics does not have swift-metrics any more"]),
    "the next major version": (lambda world: world.metered[2].update(state={"version": "3.0.0"}), ["with Metrics has swift-metrics 3.0.0"]),
    "another licence": (lambda world: world.licences.update({"swift-metrics": MIT}), ["LICENSE.txt of swift-metrics is MIT"]),
}
# Addresses that are none of https://github.com/….
ADDRESSES = [
    "http://github.com/apple/swift-nio.git", "git@github.com:apple/swift-nio.git", "ssh://git@github.com/apple/swift-nio.git",
    "https://github.com.example.com/apple/swift-nio.git", "https://example.com/apple/swift-nio.git", "https://user:word@github.com/apple/swift-nio.git",
    "https://github.com/swift-nio.git", "https://github.com/apple/more/swift-nio.git", "https://github.com/../swift-nio.git", "file:///tmp/swift-nio.git",
]


class SupplyTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def world(self, name="repository"):
        root = self.root / "".join(letter for letter in name if letter.isalnum())
        root.mkdir()
        return World(root)

    def expect(self, problems, parts):
        self.assertEqual(len(problems), len(parts), problems)
        for part in parts:
            self.assertTrue(any(part in line for line in problems), (part, problems))

    def test_nothing_is_said_about_a_good_one(self):
        self.assertEqual(self.world().problems(), [])
        self.assertEqual(self.world("traits").problems_with_traits(), [])

    def test_each_bad_change_is_named(self):
        for name, (change, parts) in BAD.items():
            with self.subTest(name):
                world = self.world(name)
                change(world)
                self.expect(world.problems(), parts)

    def test_each_bad_change_is_named_with_traits(self):
        for name, (change, parts) in BAD_WITH_TRAITS.items():
            with self.subTest(name):
                world = self.world(name)
                change(world)
                self.expect(world.problems_with_traits(), parts)

    def test_a_trait_that_was_not_asked_for_is_named(self):
        self.expect(self.world().problems_with_traits([]), ["a user of the library alone has swift-metrics 2.13.0, which"])

    def test_addresses(self):
        for index, url in enumerate(ADDRESSES):
            with self.subTest(url):
                world = self.world(f"address {index}")
                address("library", "swift-nio", url)(world)
                self.assertTrue(any("is not of the form https://github.com/…" in line for line in world.problems()))

    def exact(self, version):
        world = self.world(version)
        asked("library", "swift-metrics", exact=["2.13.0"])(world)
        world.replace("`2.5.0..<3.0.0`", "`exactly 2.13.0`")
        world.metered[2]["state"]["version"] = version
        self.assertEqual(world.problems(), [])
        return world.problems_with_traits()

    def test_an_exact_version(self):
        self.assertEqual(self.exact("2.13.0"), [])
        self.expect(self.exact("2.13.1"), ["has swift-metrics 2.13.1; Specs/dependencies.md allows exactly 2.13.0"])

    def run_main(self, world, *arguments):
        """The status and the standard output of the script, with the manifests of this world."""
        world.write()
        out, status = io.StringIO(), 0
        with mock.patch.object(supply, "dump", lambda _, package: world.manifests[package]), \
                mock.patch.object(sys, "argv", ["check-supply.py", *arguments]), \
                contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            try:
                supply.main(world.root)
            except SystemExit as exit:
                status = exit.code
        return status, out.getvalue()

    def test_the_status_is_that_of_the_check(self):
        world = self.world()
        user = ["--resolved", str(world.root / "user"), "--traits"]
        self.assertEqual(self.run_main(world), (0, ""))
        self.assertEqual(self.run_main(world, *user, "Metrics"), (0, ""))
        self.assertEqual(self.run_main(world, *user, ""), (1, ""))
        self.assertEqual(json.loads(self.run_main(world, "--sbom", "command")[1])["metadata"]["component"]["version"], "1.2.3")
        world.pins["library"].pop()
        self.assertEqual(self.run_main(world), (1, ""))
        self.assertEqual(self.run_main(world, "--sbom", "command"), (1, ""))

    def test_the_bill_names_what_was_resolved(self):
        world = self.world()
        world.write()
        _, page, pins = supply.check(world.root, world.manifests)
        own = {package: page.own(package) for package in supply.PACKAGES}
        nio, atomics, yams = (f"pkg:swift/github.com/{name}" for name in ("apple/swift-nio@2.101.2", "apple/swift-atomics@1.3.0", "jpsim/Yams@6.2.2"))
        bill = supply.bill("library", "1.2.3", pins["library"], page.expected("library"), own)
        self.assertEqual((bill["bomFormat"], bill["specVersion"]), ("CycloneDX", "1.6"))
        self.assertEqual((bill["metadata"]["component"]["name"], bill["metadata"]["component"]["version"]), ("swift-khp", "1.2.3"))
        self.assertEqual([part["purl"] for part in bill["components"]], [atomics, nio])
        self.assertEqual(bill["components"][0]["licenses"], [{"expression": "Apache-2.0 WITH Swift-exception"}])
        self.assertEqual(bill["components"][1]["licenses"], [{"license": {"id": "Apache-2.0"}}])
        self.assertEqual((bill["components"][1]["name"], bill["components"][1]["version"]), ("swift-nio", "2.101.2"))
        self.assertEqual(bill["components"][1]["properties"][0]["value"], "0123456789abcdef0123456789abcdef01234567")
        self.assertEqual(bill["dependencies"], [{"ref": "swift-khp", "dependsOn": [nio]}])
        bill = supply.bill("command", "1.2.3", pins["command"], page.expected("command"), own)
        self.assertEqual(bill["metadata"]["component"]["name"], "khp")
        self.assertEqual([part["bom-ref"] for part in bill["components"]], ["swift-khp", atomics, nio, yams])
        self.assertEqual(bill["dependencies"], [{"ref": "khp", "dependsOn": ["swift-khp", nio, yams]}, {"ref": "swift-khp", "dependsOn": [nio]}])


if __name__ == "__main__":
    unittest.main()
