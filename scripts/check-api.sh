#!/usr/bin/env bash
# Compares the public API with that of the last version: fails when something breaks that is promised, unless the breakage
# stands in Specs/api-breakage.txt, in the words of the tool, one a line.
#   scripts/check-api.sh [TAG]       the last tag of the form N.N.N unless told otherwise
set -euo pipefail
cd "$(dirname "$0")/.."

tag=${1:-$(git tag --list '[0-9]*.[0-9]*.[0-9]*' --sort=-version:refname | head -n 1)}
if [ -z "$tag" ]; then
    echo "api: no version is tagged yet, so there is nothing to break"
    exit 0
fi
allowed=()
[ -f Specs/api-breakage.txt ] && allowed=(--breakage-allowlist-path Specs/api-breakage.txt)
swift package diagnose-api-breaking-changes "$tag" --regenerate-baseline ${allowed[@]+"${allowed[@]}"}
