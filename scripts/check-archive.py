#!/usr/bin/env python3
"""Walks a DocC archive as a reader does: fails on a page without its static index.html, on a link to a page, a heading or a
picture that is not there, and on a page that no link leads to from the landing page.

    check-archive.py ARCHIVE [LANDING-PAGE]
"""

import json
import sys
from pathlib import Path

archive = Path(sys.argv[1])
landing = sys.argv[2] if len(sys.argv) > 2 else "/documentation/swift-khp"
problems = []


def within(value):
    """All objects of a page, at any depth."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from within(part)


pages = {}
for path in sorted((archive / "data").rglob("*.json")):
    page = json.loads(path.read_text())
    pages["/" + path.relative_to(archive / "data").with_suffix("").as_posix()] = page
# The page that `docc merge` makes is covered by a way on to ours.
pages.pop("/documentation", None)
anchors = {url: {part["anchor"] for part in within(page) if isinstance(part.get("anchor"), str)} for url, page in pages.items()}

leads_to = {url: set() for url in pages}
links = 0
for url, page in pages.items():
    if not (archive / url[1:] / "index.html").is_file():
        problems.append(f"{url}: there is no index.html")
    references = page.get("references", {})
    used = set()
    for part in within({key: value for key, value in page.items() if key != "references"}):
        if part.get("type") == "reference":
            used.add(part["identifier"])
            if not part.get("isActive", True):
                problems.append(f"{url}: the link to {part['identifier']} is not active")
        if isinstance(part.get("identifiers"), list):
            used.update(part["identifiers"])
    for identifier in sorted(used - references.keys()):
        problems.append(f"{url}: nothing is known of {identifier}")
    for identifier, reference in references.items():
        kind, target = reference.get("type"), reference.get("url", "")
        # Protocols of others, which docc names without a link; a link of ours that leads nowhere is a warning of docc.
        if kind == "unresolvable":
            continue
        for variant in reference.get("variants", []) if kind in ("image", "video", "download") else []:
            links += 1
            if not (archive / variant["url"].lstrip("/")).is_file():
                problems.append(f"{url}: there is no {variant['url']}")
        if not target.startswith("/") or kind in ("image", "video", "download"):
            continue
        links += 1
        name, _, anchor = target.partition("#")
        name = name.rstrip("/")
        if name not in pages:
            problems.append(f"{url}: there is no page {target}")
            continue
        if identifier in used:
            leads_to[url].add(name)
        if anchor and anchor not in anchors[name]:
            problems.append(f"{url}: {name} has no heading #{anchor}")

seen, waiting = {landing}, [landing]
if landing not in pages:
    problems.append(f"there is no landing page {landing}")
    waiting = []
while waiting:
    for target in leads_to[waiting.pop()] - seen:
        seen.add(target)
        waiting.append(target)
# Members that a type has from an extension of others, by `docc` on a page that no link leads to.
inherited = {url for url, page in pages.items() if "::SYNTHESIZED::" in page.get("metadata", {}).get("externalID", "")}
for url in sorted(pages.keys() - seen - inherited):
    problems.append(f"{url}: no link leads here from {landing}")

for line in problems:
    print(f"archive: {line}", file=sys.stderr)
if not problems:
    print(f"archive: {len(pages)} pages, each with its index.html and reached from {landing}; {links} links lead to one")
sys.exit(1 if problems else 0)
