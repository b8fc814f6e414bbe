#!/usr/bin/env bash
# Builds frame-judge and compares its verdicts with those of Python's websockets; see compare.py, which takes the options.
# PYTHON is an interpreter that has the packages of scripts/requirements.txt: python3 unless told otherwise.
set -euo pipefail
cd "$(dirname "$0")/../.."

swift build --package-path Tests/Differential --scratch-path .build --disable-build-manifest-caching \
    --product frame-judge
exec "${PYTHON:-python3}" Tests/Differential/compare.py "$@"
