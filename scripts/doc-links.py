#!/usr/bin/env python3
"""Completes links from one module's documentation to the symbols and articles of the modules below it.

A comment or a page says ``WebSocketError`` or <doc:Errors> wherever it stands. docc looks for that in the module at
hand only; for another module it wants ``/KHPProtocol/WebSocketError``, and for its articles a whole address. This script
writes those into copies, so that sources stay readable and a type can move to another module.

    doc-links.py --graphs DIRECTORY [--module NAME] --catalogs NAME=PATH… --copy DIRECTORY

--graphs holds one folder of symbol graphs for each module; those of --module are changed in place. --catalogs names the
modules below, lowest first, and last the catalog to be copied. The module's own symbols always come first.
"""

import argparse
import json
import re
import shutil
from pathlib import Path

SYMBOL = re.compile(r"(?<!`)``(?!`)([A-Za-z_][^`\s]*)``(?!`)")
ARTICLE = re.compile(r"<doc:([A-Za-z][\w-]*)>")


def graphs_of(directory, module):
    return sorted((directory / module).glob("*.symbols.json"))


def paths(directory, module):
    """The paths of the module's own symbols, and of those that it adds to other modules' types."""
    own, added = set(), set()
    for path in graphs_of(directory, module):
        found = added if "@" in path.name else own
        found.update(tuple(symbol["pathComponents"]) for symbol in json.loads(path.read_text())["symbols"])
    return own, added


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--graphs", type=Path, required=True)
    parser.add_argument("--module", default="")
    parser.add_argument("--catalogs", nargs="+", required=True)
    parser.add_argument("--copy", type=Path, required=True)
    options = parser.parse_args()
    catalogs = [(name, Path(path)) for name, _, path in (entry.partition("=") for entry in options.catalogs)]
    *below, (_, catalog) = catalogs
    modules = {name for name, _ in below}

    own, added = paths(options.graphs, options.module) if options.module else (set(), set())
    endings = {components[at:] for components in own for at in range(len(components))}
    owners, articles = {}, {}
    for name, path in below:
        owners.update({components: name for components in paths(options.graphs, name)[0]})
        articles.update({page.stem: name for page in path.rglob("*.md")})
    for page in catalog.rglob("*.md"):
        articles.pop(page.stem, None)

    def symbol(match):
        # Without the suffixes that tell overloads apart.
        components = tuple(re.sub(r"(?<=[\w)])-[^/]*$", "", part) for part in match.group(1).split("/"))
        if components in endings:
            return match.group(0)
        # With pages for these, docc would look for the other module's articles among them, and nowhere else.
        if components in added:
            return "`" + ".".join(components) + "`"
        if components in owners:
            return f"``/{owners[components]}/{match.group(1)}``"
        if components[0] in modules:
            return f"``/{match.group(1)}``"
        return match.group(0)

    def article(match):
        owner = articles.get(match.group(1))
        return f"<doc:/documentation/{owner}/{match.group(1)}>" if owner else match.group(0)

    def completed(text):
        return ARTICLE.sub(article, SYMBOL.sub(symbol, text))

    for path in graphs_of(options.graphs, options.module) if options.module else []:
        graph = json.loads(path.read_text())
        for described in graph["symbols"]:
            for line in described.get("docComment", {}).get("lines", []):
                line["text"] = completed(line["text"])
        path.write_text(json.dumps(graph))

    shutil.copytree(catalog, options.copy)
    for page in options.copy.rglob("*.md"):
        page.write_text(completed(page.read_text()))


main()
