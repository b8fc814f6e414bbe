#!/usr/bin/env bash
# Fails when one of the build logs given as arguments holds a warning about a file of ours.
# (-warnings-as-errors would reach into the dependencies, whose warnings SwiftPM suppresses: the two options conflict.)
set -euo pipefail

found=$(grep -hE '(^|/)(Sources|Tests|Examples)/[^:]+:[0-9]+:[0-9]+: warning:' "$@" | grep -v '/\.build/' | sort -u || true)
if [ -n "$found" ]; then
    echo "warnings in our own sources:" >&2
    printf '%s\n' "$found" >&2
    exit 1
fi
