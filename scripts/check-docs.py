#!/usr/bin/env python3
"""Holds what the documentation says against the sources, so that it cannot fall behind them unnoticed.

  - each Swift block of README.md, of the DocC catalogs and of the doc comments in Sources stands, line for line, in a
    file under Examples or Tests/Ecosystem, which CI compiles but for HummingbirdServer, which `make hummingbird` does
    (imports may stand apart). A block after `<!-- not compiled -->` is exempt;
  - each YAML block is a file under Examples/Gateway, which CI checks with `khp gateway --check`;
  - no line of a code block is wider than 76 columns, so that no page scrolls sideways;
  - each Swift name in code voice occurs in the sources, is a suite of tests, or stands in the page's `<!-- names of others: … -->`;
  - the table of status codes names the codes and actions of Specs/status-codes.json;
  - the table of limits names the members and defaults of the limits and times of a client and a server;
  - the tests that SECURITY.md names are there, and README.md and CONTRIBUTING.md lead to it;
  - the version of the command is that of the newest entry of CHANGELOG.md, of each `from:` of a page and of a tag here.
    With `--release`, nothing says any more that no version is tagged, or hides where the repository lies;
  - the README's figures and those of the plots stand in Benchmarks/README.md; it stays short; its links and those of other pages lead to files,
    to headings that are there and to labels that are defined, and each label is used.
"""

import functools
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
SECURITY = ROOT / "SECURITY.md"
CHANGES = ROOT / "CHANGELOG.md"
VERSION = ROOT / "Command/Sources/KHPGateway/Admin/Release.swift"
BENCHMARKS = ROOT / "Benchmarks/README.md"
STATUS_CODES = ROOT / "Sources/KHPProtocol/Documentation.docc/StatusCodes.md"
LIMITS = ROOT / "Sources/KHPWebSocket/Documentation.docc/Limits.md"
CATALOGS = [*sorted(ROOT.glob("Sources/*/*.docc/**/*.md")), *sorted(ROOT.glob("Documentation/**/*.md"))]
WIDTH = 76
README_LINES = 160
problems = []


def problem(path, line, text):
    problems.append(f"{path.relative_to(ROOT)}:{line}: {text}")


def blocks(lines):
    """(line number, language, block) of each code block; the language of a block that is not compiled is empty."""
    start, language, before = None, "", ""
    for number, line in enumerate(lines, 1):
        if start is None and line.strip().startswith("```"):
            start, language = number, "" if before == "<!-- not compiled -->" else line.strip()[3:]
        elif start is not None and line.strip() == "```":
            yield start, language, lines[start : number - 1]
            start = None
        if line.strip():
            before = line.strip()


def tidy(lines):
    return textwrap.dedent("\n".join(lines)).split("\n")


def stands_in(block, source):
    imports = [line for line in block if line.startswith("import ")]
    body = tidy([line for line in block if not line.startswith("import ")])
    while body and not body[0].strip():
        body.pop(0)
    while body and not body[-1].strip():
        body.pop()
    if not set(imports) <= set(source):
        return False
    return any(tidy(source[at : at + len(body)]) == body for at in range(len(source) - len(body) + 1))


def check_blocks():
    sources = [path.read_text().splitlines() for folder in ("Examples", "Tests/Ecosystem") for path in sorted(ROOT.glob(f"{folder}/**/*.swift"))]
    configurations = [path.read_text().splitlines() for path in ROOT.glob("Examples/Gateway/*.yaml")]
    pages = [README, *CATALOGS, *sorted(ROOT.glob("Examples/**/*.md"))]
    texts = [(path, path.read_text().splitlines()) for path in pages]
    for path in sorted(ROOT.glob("Sources/**/*.swift")):
        comments = [re.sub(r"^\s*///? ?", "", line) if re.match(r"\s*///", line) else "" for line in path.read_text().splitlines()]
        texts.append((path, comments))
    count = 0
    for path, lines in texts:
        for number, language, block in blocks(lines):
            for offset, line in enumerate(block, 1):
                if len(line) > WIDTH:
                    problem(path, number + offset, f"this line of a code block has {len(line)} columns, not {WIDTH}")
            if language == "yaml" and block not in configurations:
                problem(path, number, "this YAML block is no file under Examples/Gateway")
            if language != "swift":
                continue
            count += 1
            if not any(stands_in(block, source) for source in sources):
                problem(path, number, "this Swift block stands in no file under Examples or Tests/Ecosystem")
    return count


def rows(path, first):
    """(line number, cells) of the table whose head begins with this cell."""
    lines = path.read_text().splitlines()
    at = next((number for number, line in enumerate(lines) if line.startswith(f"| {first} |")), None)
    if at is None:
        problem(path, 1, f"there is no table with the column {first!r}")
        return
    for number in range(at + 2, len(lines)):
        if not lines[number].startswith("|"):
            return
        yield number + 1, [cell.strip() for cell in lines[number].strip("|").split("|")]


def check_status_table():
    said = {}
    for number, cells in rows(STATUS_CODES, "status"):
        action = re.fullmatch(r"`([a-z-]+)`", cells[1])
        for code in re.findall(r"\b\d{3}\b", cells[0]):
            said[int(code)] = action.group(1) if action else None
    table = json.loads((ROOT / "Specs/status-codes.json").read_text())["codes"]
    for entry in table:
        code, action = entry["code"], entry["action"]
        if said.pop(code, "close") != action:
            problem(STATUS_CODES, 1, f"the table does not say that the action of {code} is {action}")
    for code in said:
        problem(STATUS_CODES, 1, f"the table has {code}, which Specs/status-codes.json does not know")


def defaults(path):
    """Type and name of each public member with a default, and the default in words."""
    result, outer, type_name = {}, None, None
    for line in (ROOT / path).read_text().splitlines():
        if match := re.match(r"(extension|public struct|    public struct) (\w+)", line):
            outer = match.group(2) if match.group(1) == "extension" else outer
            type_name = None if outer == "Endpoint" else match.group(2)
        if match := re.match(r"    (?:    )?public var (\w+)(?:: ([\w.?]+))?(?: = (.+))?$", line):
            name, kind, value = match.groups()
            words = None
            if value is None:
                words = "none" if kind and kind.endswith("?") else None
            elif seconds := re.fullmatch(r"\.seconds\((\d+)\)", value):
                words = f"{seconds.group(1)} s"
            elif re.fullmatch(r"[\d_ *]+", value):
                number = 1
                for factor in value.replace("_", "").split("*"):
                    number *= int(factor)
                words = f"{number:,}"
                if name.endswith(("Bytes", "Mark")):
                    words = f"{number >> 20} MiB" if number % (1 << 20) == 0 else f"{number >> 10} KiB"
            if words:
                result[(type_name, name)] = words
    return result


def check_limits():
    settings = defaults("Sources/KHPProtocol/Words/Limits.swift") | defaults("Sources/KHPProtocol/Words/ConnectionSettings.swift")
    roles = {role: defaults(f"Sources/KHP{role.title()}/{role.title()}Limits.swift") for role in ("client", "server")}
    known = {}
    for place, type_name in {"limits.messages": "MessageLimits", "keepAlive": "KeepAliveConfiguration"}.items():
        known |= {(place, name): ("both", words) for (owner, name), words in settings.items() if owner == type_name}
    for place, type_name in {"limits": "Limits", "timeouts": "Timeouts"}.items():
        for role, members in roles.items():
            for (owner, name), words in members.items():
                if owner != type_name:
                    continue
                other = known.get((place, name))
                if other and other[1] != words:
                    problem(LIMITS, 1, f"{place}.{name} has one default for a client and another for a server")
                known[place, name] = ("both" if other else role, words)
    for number, cells in rows(LIMITS, "member"):
        match = re.fullmatch(r"`([\w.]+)\.(\w+)`", cells[0])
        if not match or match.group(1) not in ("limits", "limits.messages", "timeouts", "keepAlive"):
            continue
        entry = known.pop(match.groups(), None)
        if entry is None:
            problem(LIMITS, number, f"{cells[0]} is no member with a default")
        elif entry != tuple(cells[1:3]):
            problem(LIMITS, number, f"{cells[0]} is of {entry[0]}, and its default is {entry[1]}")
    for place, name in known:
        problem(LIMITS, 1, f"the table does not have {place}.{name}")


def check_names():
    names = set()
    for folder in ("Sources", "Command/Sources", "Examples"):
        for path in ROOT.glob(f"{folder}/**/*.swift"):
            names.update(re.findall(r"\w+", path.read_text()))
    for path in ROOT.glob("Tests/**/*.swift"):
        names.update(re.findall(r"\b(?:struct|class|enum|extension) (\w+Tests)\b", path.read_text()))
    for path in [README, *CATALOGS, ROOT / "Examples/README.md"]:
        fenced = False
        others = set(" ".join(re.findall(r"<!-- names of others: (.*) -->", path.read_text())).split())
        for number, line in enumerate(path.read_text().splitlines(), 1):
            fenced ^= line.startswith("```")
            # A link's own name is of the place that it leads to.
            line = re.sub(r"\[`[^`]+`\]\[[^\]]+\]", "", line)
            for voiced in [] if fenced else re.findall(r"(?<!`)`([^`/]+)`(?!`)", line):
                for name in re.findall(r"\b(?:[a-z]+[A-Z]|[A-Z][a-z]+[A-Z])\w*", voiced):
                    if name not in names and name not in others:
                        problem(path, number, f"no source has the name {name}")


def check_readme():
    measured = set(re.findall(r"\d[\d,.]*\d|\d", BENCHMARKS.read_text()))
    for number, cells in rows(README, "server, instructions per operation"):
        for cell in cells[1:]:
            if cell and cell not in measured:
                problem(README, number, f"{cell} does not stand in Benchmarks/README.md")
    # The text behind a bar; `Benchmarks/run.sh plot` draws them anew.
    for path in sorted(ROOT.glob("Documentation/**/plot-*.svg")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for figure in re.findall(r'font-size="12" fill="#111">(\d[\d,.]*)', line):
                if figure not in measured:
                    problem(path, number, f"{figure} does not stand in Benchmarks/README.md: Benchmarks/run.sh plot")
    lines = len(README.read_text().splitlines())
    if lines > README_LINES:
        problem(README, lines, f"a README has at most {README_LINES} lines; the rest belongs to an article")


def check_security():
    tests = [path.read_text() for folder in ("Tests", "Command/Tests") for path in ROOT.glob(f"{folder}/**/*.swift")]
    # Suites alone: a filter by the name of a file or of an extension's file runs nothing.
    named = set(re.findall(r"\b(?:struct|class) (\w+)", "\n".join(tests)))
    for number, line in enumerate(SECURITY.read_text().splitlines(), 1):
        for name in re.findall(r"`(\w+Tests)`", line):
            if name not in named:
                problem(SECURITY, number, f"there is no test {name}")
    for page in (README, ROOT / "CONTRIBUTING.md"):
        if "](SECURITY.md)" not in page.read_text():
            problem(page, 1, "no link leads to SECURITY.md")


def check_version():
    """One constant has the version; everything else that names it is compared."""
    match = re.search(r'static let version = "(\d+\.\d+\.\d+)"', VERSION.read_text())
    if not match:
        problem(VERSION, 1, "there is no version of the form N.N.N")
        return
    version = match.group(1)
    headings = [(number, line[3:]) for number, line in enumerate(CHANGES.read_text().splitlines(), 1) if line.startswith("## ")]
    versions = [(number, heading.split()[0]) for number, heading in headings if heading != "Unreleased"]
    if not versions or versions[0][1] != version:
        problem(CHANGES, versions[0][0] if versions else 1, f"the newest version here is not {version}, which the command has")
    for path in [README, *CATALOGS]:
        for number, _, block in blocks(path.read_text().splitlines()):
            for offset, line in enumerate(block, 1):
                required = re.search(r'from: "([\d.]+)"', line)
                if required and "swift-khp" in "".join(block) and required.group(1) != version:
                    problem(path, number + offset, f"this asks for {required.group(1)}; the version is {version}")
    tags = subprocess.run(["git", "tag", "--points-at", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    for tag in tags:
        if re.fullmatch(r"\d+\.\d+\.\d+", tag) and tag != version:
            problem(VERSION, 1, f"the version is {version}, and the commit is tagged {tag}")
    if "--release" not in sys.argv[1:]:
        return
    for number, heading in headings:
        if heading == "Unreleased":
            problem(CHANGES, number, "a release has no changes that are unreleased")
    for path in [README, SECURITY, ROOT / "CODE_OF_CONDUCT.md", *CATALOGS]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for sign in ("MAINTAINERS-ADDRESS", "tagged yet", "once a version is tagged", "/OWNER/", "…/swift-khp.git", '"../swift-khp"'):
                if sign in line:
                    problem(path, number, f"a release does not say {sign!r}")


def prose(path):
    """(line number, line) of a page outside of its code blocks, without what stands in code voice."""
    fenced = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", line)


@functools.cache
def anchors(path):
    """The anchors that a host of Markdown gives the headings of a page; further ones of one name are numbered."""
    found, counts, fenced = set(), {}, False
    for line in path.read_text().splitlines():
        fenced ^= line.strip().startswith("```")
        heading = None if fenced else re.match(r"#{1,6} (.+)", line)
        if heading:
            text = re.sub(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])", r"\1", heading.group(1)).strip().lower()
            anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            counts[anchor] = counts.get(anchor, -1) + 1
            found.add(f"{anchor}-{counts[anchor]}" if counts[anchor] else anchor)
        found.update(re.findall(r'<a (?:id|name)="([^"]+)"', line))
    return found


def check_target(path, number, target):
    if "://" in target or target.startswith("mailto:"):
        return
    name, _, anchor = target.partition("#")
    file = path.parent / name if name else path
    # A page of a catalog names its pictures without their folder and kind.
    if not file.exists() and not any((path.parent / "Resources").glob(f"{name}.*")):
        problem(path, number, f"{name} does not exist")
    elif anchor and file.suffix == ".md" and anchor not in anchors(file):
        problem(path, number, f"{name or 'this page'} has no heading #{anchor}")


def check_links():
    """Links to files, to headings and to labels, both ways; addresses elsewhere are not asked for."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("Specs/**/*.md"), *CATALOGS]
    pages += [path for folder in ("Benchmarks", "Examples", "Tests", "Command") for path in ROOT.glob(f"{folder}/**/*.md")]
    for path in pages:
        if ".build" in path.relative_to(ROOT).parts:
            continue
        labels, used = {}, set()
        for number, line in prose(path):
            if match := re.match(r" {0,3}\[([^\]^]+)\]: *(\S+)", line):
                label = match.group(1).lower()
                if label in labels:
                    problem(path, number, f"the label [{label}] is there twice")
                labels[label] = number
                check_target(path, number, match.group(2))
        for number, line in prose(path):
            if re.match(r" {0,3}\[[^\]^]+\]: *\S", line):
                continue
            for target in re.findall(r"\]\(<?([^)\s>]+)>?(?: \"[^)]*\")?\)", line):
                check_target(path, number, target)
            for text, label in re.findall(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\[([^\[\]]*)\]", line):
                label = (label or text).lower()
                used.add(label)
                if label not in labels:
                    problem(path, number, f"there is no label [{label}]")
            used.update(label for label in re.findall(r"\[([^\[\]]+)\](?![\[(])", line.lower()) if label in labels)
        for label, number in labels.items():
            if label not in used:
                problem(path, number, f"nothing on the page uses the label [{label}]")

count = check_blocks()
check_status_table()
check_limits()
check_names()
check_readme()
check_security()
check_version()
check_links()
for line in problems:
    print(line, file=sys.stderr)
if not problems:
    print(f"docs: {count} Swift blocks and three tables agree with the sources")
sys.exit(1 if problems else 0)
