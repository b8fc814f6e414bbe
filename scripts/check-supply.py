#!/usr/bin/env python3
"""Holds the packages that users resolve against Specs/dependencies.md (threat H8). It builds nothing and asks no network.

    check-supply.py                      the library and the command, as the builds before have resolved them
    check-supply.py --sbom library       the same, then what the library resolves as CycloneDX 1.6 on standard output;
                                         or `--sbom command`
    check-supply.py --resolved FOLDER [--traits A,B] [--checkouts FOLDER]
                                         a package elsewhere that uses the library with these traits, and nothing else

It reads the manifests by `swift package dump-package`, each Package.resolved and the licence files in the checkouts, and
fails on
  - a package that a manifest names or that was resolved, and that the page does not have; a row that nobody needs;
  - a dependency by branch, revision or registry, by a path out of this repository, or by another address than
    https://github.com/…; a requirement that reaches beyond the next major version, or that is not the page's;
  - a package that was resolved from another address than the page's, or outside of the page's versions;
  - a checkout without a licence file, or with another kind of licence than the page's;
  - a library of the system that the page does not have with its Debian and Homebrew packages, or that no manifest names.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PAGE = "Specs/dependencies.md"
PACKAGES = {"library": ".", "command": "Command"}
ADDRESS = re.compile(r"https://github\.com/[A-Za-z0-9_-][A-Za-z0-9_.-]*/[A-Za-z0-9_.-]+")
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def identity(address):
    """The name by which SwiftPM tells packages apart."""
    return address.rstrip("/").rsplit("/", 1)[-1].removesuffix(".git").lower()


def numbers(version):
    return tuple(int(number) for number in VERSION.match(version).groups())


def is_allowed(version, versions):
    """`true` for a release within a range such as 1.2.0..<2.0.0, or for the version of `exactly 1.2.3`."""
    if not VERSION.fullmatch(version):
        return False
    if versions.startswith("exactly "):
        return version == versions.removeprefix("exactly ")
    lower, upper = versions.split("..<")
    return numbers(lower) <= numbers(version) < numbers(upper)


# The page


class Page:
    """The tables of Specs/dependencies.md: the rows of packages by manifest and identity, those of the system by target."""

    def __init__(self, text):
        self.packages = {"library": {}, "command": {}}
        self.system = {}
        self.problems = []
        section, head = None, None
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith("## "):
                section = {"The library": "library", "The command": "command", "Libraries of the system": "system"}.get(line[3:])
            if not line.startswith("|"):
                head = None
            elif head is None:
                head = self.cells(line)
            elif not line.startswith("|---"):
                self.take(section, dict(zip(head, self.cells(line))), number)

    @staticmethod
    def cells(line):
        return [cell.strip() for cell in line.strip().strip("|").split("|")]

    def take(self, section, row, number):
        if section == "system":
            self.system[row["target"].strip("`")] = row
            return
        link = re.fullmatch(r"\[([^\]]+)\]\((\S+)\)", row.get("package", ""))
        versions = re.fullmatch(r"`(\d+\.\d+\.\d+\.\.<\d+\.\d+\.\d+|exactly \d+\.\d+\.\d+)`", row.get("versions", ""))
        if section is None or not link or not versions or not row.get("licence") or not row.get("needed by"):
            self.problems.append(f"{PAGE}:{number}: a row has a package with its address, versions, a licence and who needs it")
            return
        name = identity(link[2])
        if name in self.packages[section]:
            self.problems.append(f"{PAGE}:{number}: {name} has two rows")
        if not ADDRESS.fullmatch(link[2]):
            self.problems.append(f"{PAGE}:{number}: the address of {name} is not of the form https://github.com/…")
        row |= {"address": link[2], "versions": versions[1], "scopes": set(re.findall(r"\w+", row.get("resolved by", "everybody")))}
        self.packages[section][name] = row

    def expected(self, package, traits=()):
        """The rows of all that the library with these traits, or the command, resolves."""
        scopes = {"everybody", *traits}
        rows = {name: row for name, row in self.packages["library"].items() if row["scopes"] & scopes}
        return rows | self.packages["command"] if package == "command" else rows

    def own(self, package):
        """The rows that say that this manifest itself names the package."""
        return {name: row for name, row in self.packages[package].items() if f"the {package}" in row["needed by"]}


# The manifests


def requirement(dependency):
    """The versions that a manifest asks for, as the page writes them, or the sentence on why they are none."""
    kind, value = next(iter(dependency.get("requirement", {}).items()), ("nothing", None))
    if kind == "exact":
        return f"exactly {value[0]}", None
    if kind != "range":
        return None, f"is asked for by {kind}, not by versions"
    lower, upper = value[0]["lowerBound"], value[0]["upperBound"]
    if numbers(upper) > (numbers(lower)[0] + 1, 0, 0):
        return None, f"has no upper bound at the next major version: {lower}..<{upper}"
    return f"{lower}..<{upper}", None


def users(manifest):
    """For each package that targets use, the traits that they do it behind; an empty one where there is none."""
    found = {}
    for target in manifest["targets"]:
        for dependency in target["dependencies"]:
            if "product" in dependency:
                product, package, _, condition = dependency["product"]
                found.setdefault((package or product).lower(), set()).update((condition or {}).get("traits") or [""])
    return found


def check_manifest(root, package, manifest, page):
    """The sentences on what a manifest asks for. `manifest` is as `swift package dump-package` prints it."""
    file = (Path(PACKAGES[package]) / "Package.swift").as_posix()
    used, named = users(manifest), set()
    for entry in manifest["dependencies"]:
        (kind, (dependency,)), = entry.items()
        name = dependency["identity"]
        if kind == "fileSystem":
            if not Path(dependency["path"]).resolve().is_relative_to(root.resolve()):
                yield f"{file}: {name} is a folder out of this repository"
            continue
        if kind != "sourceControl" or "remote" not in dependency["location"]:
            yield f"{file}: {name} comes from no address: it is of the kind {kind}"
            continue
        named.add(name)
        address = dependency["location"]["remote"][0]["urlString"]
        if not ADDRESS.fullmatch(address):
            yield f"{file}: the address of {name} is not of the form https://github.com/…: {address}"
        versions, fault = requirement(dependency)
        if fault:
            yield f"{file}: {name} {fault}"
        if name not in used:
            yield f"{file}: no target uses {name}"
        row = page.own(package).get(name)
        if row is None:
            yield f"{file}: {name} has no row in {PAGE} that says that the {package} needs it"
            continue
        if row["address"] != address:
            yield f"{file}: {name} is asked for at {address}; {PAGE} has {row['address']}"
        if versions and versions != row["versions"]:
            yield f"{file}: {name} is asked for as {versions}; {PAGE} has {row['versions']}"
        for trait in sorted(used.get(name, set())):
            if (trait or "everybody") not in row["scopes"]:
                yield f"{file}: {name} is resolved by {trait or 'everybody'}; {PAGE} does not say so"
            if trait and "everybody" in row["scopes"]:
                yield f"{file}: {name} is resolved by {trait}; {PAGE} says by everybody"
    for name in sorted(page.own(package).keys() - named):
        yield f"{PAGE}: the {package} does not need {name} any more"


def check_system(manifests, page):
    """The sentences on libraries of the system: their targets, and the packages that bring them."""
    seen = set()
    for package, manifest in manifests.items():
        for target in manifest["targets"]:
            if target["type"] != "system":
                continue
            seen.add(target["name"])
            row = page.system.get(target["name"])
            if row is None or row["manifest"] != f"the {package}":
                yield f"{PAGE} has no row for {target['name']} of the {package}, a library of the system"
                continue
            providers = {kind: names[0] for provider in target.get("providers", []) for kind, names in provider.items()}
            for column, kind in {"Debian": "apt", "Homebrew": "brew"}.items():
                if re.findall(r"`([^`]+)`", row[column]) != providers.get(kind, []):
                    yield f"{PAGE}: the {column} package of {target['name']} is {' '.join(providers.get(kind, [])) or 'none'}"
    for name in sorted(page.system.keys() - seen):
        yield f"{PAGE}: no manifest has the target {name} any more"


# Resolved packages


def check_resolved(name, pins, rows):
    """The sentences on a Package.resolved. `rows` is all that it should have."""
    for pin in pins:
        package, version = pin["identity"], pin["state"].get("version")
        row = rows.get(package)
        if row is None:
            yield f"{name} has {package} {version or ''}, which {PAGE} does not list there"
            continue
        if pin["kind"] != "remoteSourceControl" or pin["location"] != row["address"]:
            yield f"{name} has {package} from another address than {row['address']}"
        if version is None:
            yield f"{name} has {package} by a branch or revision, not by a version"
        elif not is_allowed(version, row["versions"]):
            yield f"{name} has {package} {version}; {PAGE} allows {row['versions']}"
    for package in sorted(rows.keys() - {pin["identity"] for pin in pins}):
        yield f"{name} does not have {package} any more, which {PAGE} lists there"


def kind_of_licence(text):
    """The SPDX expression for the text of a licence; an empty one where it is none of those that occur."""
    words = " ".join(text.split())
    if "Apache License Version 2.0, January 2004" in words:
        return "Apache-2.0 WITH Swift-exception" if "Runtime Library Exception" in words else "Apache-2.0"
    return "MIT" if "Permission is hereby granted, free of charge, to any person obtaining a copy" in words else ""


def check_licences(checkouts, rows):
    for row in rows.values():
        name = row["address"].rsplit("/", 1)[-1].removesuffix(".git")
        folder = checkouts / name
        if not folder.is_dir():
            yield f"{checkouts} has no checkout of {name}: build or resolve the package first"
            continue
        files = sorted(path for path in folder.iterdir() if path.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")) and path.is_file())
        if not files:
            yield f"the checkout of {name} has no licence file"
        for file in files:
            kind = kind_of_licence(file.read_text(errors="replace"))
            if kind != row["licence"]:
                yield f"{file.name} of {name} is {kind or 'of no kind that is known here'}; {PAGE} has {row['licence']}"


# The bill of materials


def licences(expression):
    return [{"expression": expression}] if " " in expression else [{"license": {"id": expression}}]


def bill(package, version, pins, rows, own):
    """What was resolved, as CycloneDX 1.6. Without a time and a serial number, so that the same set gives the same bytes.

    The address is the page's. The main component's dependencies are those of its manifest; of others none are stated.
    """
    components, references = [], {}
    for pin in sorted(pins, key=lambda pin: pin["identity"]):
        row = rows[pin["identity"]]
        path = row["address"].removeprefix("https://").removesuffix(".git")
        reference = f"pkg:swift/{path}@{pin['state']['version']}"
        references[pin["identity"]] = reference
        components.append({
            "type": "library",
            "bom-ref": reference,
            "name": path.rsplit("/", 1)[-1],
            "version": pin["state"]["version"],
            "licenses": licences(row["licence"]),
            "purl": reference,
            "externalReferences": [{"type": "vcs", "url": row["address"]}],
            "properties": [{"name": "swift-khp:commit", "value": pin["state"]["revision"]}],
        })

    def ours(name, kind):
        return {"type": kind, "bom-ref": name, "name": name, "version": version, "licenses": licences("Apache-2.0")}

    def needs(name, package, *others):
        packages = (references[identity] for identity in own[package] if identity in references)
        return {"ref": name, "dependsOn": [*others, *sorted(packages)]}

    main, dependencies = ours("swift-khp", "library"), [needs("swift-khp", "library")]
    if package == "command":
        components.insert(0, main)
        main = ours("khp", "application")
        dependencies.insert(0, needs("khp", "command", "swift-khp"))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": main},
        "components": components,
        "dependencies": dependencies,
    }


# Files and programs


def dump(root, package):
    """A manifest, as it is written: it is read as a copy elsewhere, so that no mirror that somebody has set changes its
    addresses, and no other SwiftPM in the build folder is waited for."""
    environment = {key: value for key, value in os.environ.items() if key != "SWIFTPM_MIRROR_CONFIG"}
    with tempfile.TemporaryDirectory() as folder:
        there = Path(folder).resolve() / "repository"
        for path in PACKAGES.values():
            (there / path).mkdir(parents=True, exist_ok=True)
            shutil.copy(root / path / "Package.swift", there / path)
        command = ["swift", "package", "--config-path", f"{folder}/configuration", "dump-package"]
        output = subprocess.run(command, cwd=there / PACKAGES[package], env=environment, stdout=subprocess.PIPE, check=True).stdout
        manifest = json.loads(output)
    for entry in manifest["dependencies"]:
        for dependency in entry.get("fileSystem", []):
            dependency["path"] = str(root / os.path.relpath(dependency["path"], there))
    return manifest


def resolved(folder):
    """The pins of a package's Package.resolved, or none and a sentence."""
    file = folder / "Package.resolved"
    if not file.is_file():
        return [], [f"there is no {file}: build or resolve the package first"]
    return json.loads(file.read_text())["pins"], []


def check(root, manifests):
    """All sentences on the library and the command, and what each has resolved."""
    page = Page((root / PAGE).read_text())
    problems, pins = list(page.problems), {}
    for package, folder in PACKAGES.items():
        problems += check_manifest(root, package, manifests[package], page)
        pins[package], missing = resolved(root / folder)
        problems += missing or check_resolved(f"what the {package} resolves", pins[package], page.expected(package))
        problems += check_licences(root / ".build/checkouts", page.expected(package))
    problems += check_system(manifests, page)
    return list(dict.fromkeys(problems)), page, pins


def check_elsewhere(root, folder, traits, checkouts):
    """The sentences on a package that uses the library with these traits."""
    page = Page((root / PAGE).read_text())
    rows = page.expected("library", traits)
    pins, missing = resolved(folder)
    name = f"a user of the library with {', '.join(traits)}" if traits else "a user of the library alone"
    problems = [*page.problems, *(missing or check_resolved(name, pins, rows)), *check_licences(checkouts, rows)]
    return problems, f"{name} resolves {len(pins)} packages"


def main(root):
    parser = argparse.ArgumentParser(description="Holds the packages that users resolve against Specs/dependencies.md.")
    parser.add_argument("--sbom", choices=PACKAGES)
    parser.add_argument("--resolved", type=Path, metavar="FOLDER")
    parser.add_argument("--traits", default="")
    parser.add_argument("--checkouts", type=Path, default=root / ".build/checkouts", metavar="FOLDER")
    options = parser.parse_args()
    if options.resolved:
        traits = [trait for trait in options.traits.split(",") if trait]
        problems, summary = check_elsewhere(root, options.resolved, traits, options.checkouts)
    else:
        problems, page, pins = check(root, {package: dump(root, package) for package in PACKAGES})
        summary = ", ".join(f"the {package} resolves {len(pins[package])} packages" for package in PACKAGES)
    for line in problems:
        print(f"supply: {line}", file=sys.stderr)
    if problems:
        sys.exit(1)
    print(f"supply: {summary}, each as {PAGE} has it", file=sys.stderr)
    if options.sbom:
        version = re.search(r'static let version = "([^"]+)"', (root / "Command/Sources/KHPGateway/Admin/Release.swift").read_text())[1]
        own = {package: page.own(package) for package in PACKAGES}
        json.dump(bill(options.sbom, version, pins[options.sbom], page.expected(options.sbom), own), sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main(Path(__file__).resolve().parent.parent)
