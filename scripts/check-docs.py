#!/usr/bin/env python3
"""Holds what the documentation says against the sources, so that it cannot fall behind them unnoticed.

  - each Swift block of README.md, of the DocC catalogs and of the doc comments in Sources stands, line for line, in a
    file under Examples, which CI compiles (imports may stand apart). A block after `<!-- not compiled -->` is exempt;
  - the README's status table names the codes and actions of Specs/status-codes.json;
  - the README's table of limits names the members and defaults of the limits and times of a client and a server.
"""

import json
import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
problems = []


def problem(path, line, text):
    problems.append(f"{path.relative_to(ROOT)}:{line}: {text}")


def blocks(lines):
    """(line number, block) of each Swift block."""
    start, exempt, before = None, False, ""
    for number, line in enumerate(lines, 1):
        if start is None and line.strip() == "```swift":
            start, exempt = number, before == "<!-- not compiled -->"
        elif start is not None and line.strip() == "```":
            if not exempt:
                yield start, lines[start : number - 1]
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
    sources = [path.read_text().splitlines() for path in sorted(ROOT.glob("Examples/**/*.swift"))]
    pages = [README, *sorted(ROOT.glob("Sources/**/*.docc/**/*.md"))]
    texts = [(path, path.read_text().splitlines()) for path in pages if path.exists()]
    for path in sorted(ROOT.glob("Sources/**/*.swift")):
        comments = [re.sub(r"^\s*///? ?", "", line) if re.match(r"\s*///", line) else "" for line in path.read_text().splitlines()]
        texts.append((path, comments))
    count = 0
    for path, lines in texts:
        for number, block in blocks(lines):
            count += 1
            if not any(stands_in(block, source) for source in sources):
                problem(path, number, "this Swift block stands in no file under Examples")
    return count


def rows(heading):
    """(line number, cells) of the first table below a heading of the README."""
    lines = README.read_text().splitlines()
    at = next((number for number, line in enumerate(lines) if line.strip() == heading), None)
    if at is None:
        problem(README, 1, f"there is no heading {heading!r}")
        return
    inside = False
    for number in range(at + 1, len(lines)):
        if lines[number].startswith("|"):
            inside = True
            yield number + 1, [cell.strip() for cell in lines[number].strip("|").split("|")]
        elif inside or lines[number].startswith("#"):
            return


def check_status_table():
    said = {}
    for number, cells in rows("## Status codes"):
        action = re.fullmatch(r"`([a-z-]+)`", cells[1])
        for code in re.findall(r"\b\d{3}\b", cells[0]):
            said[int(code)] = action.group(1) if action else None
    table = json.loads((ROOT / "Specs/status-codes.json").read_text())["codes"]
    for entry in table:
        code, action = entry["code"], entry["action"]
        if said.pop(code, "close") != action:
            problem(README, 1, f"the status table does not say that the action of {code} is {action}")
    for code in said:
        problem(README, 1, f"the status table has {code}, which Specs/status-codes.json does not know")


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
                    problem(README, 1, f"{place}.{name} has one default for a client and another for a server")
                known[place, name] = ("both" if other else role, words)
    for number, cells in rows("## Limits and defaults"):
        match = re.fullmatch(r"`([\w.]+)\.(\w+)`", cells[0])
        if not match or match.group(1) not in ("limits", "limits.messages", "timeouts", "keepAlive"):
            continue
        entry = known.pop(match.groups(), None)
        if entry is None:
            problem(README, number, f"{cells[0]} is no member with a default")
        elif entry != tuple(cells[1:3]):
            problem(README, number, f"{cells[0]} is of {entry[0]}, and its default is {entry[1]}")
    for place, name in known:
        problem(README, 1, f"the table of limits does not have {place}.{name}")


count = check_blocks()
check_status_table()
check_limits()
for line in problems:
    print(line, file=sys.stderr)
if not problems:
    print(f"docs: {count} Swift blocks and two tables agree with the sources")
sys.exit(1 if problems else 0)
