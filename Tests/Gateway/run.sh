#!/usr/bin/env bash
# Tries `khp gateway` at length, in front of brokers that nobody here wrote, and prints a table of what was seen.
#   Tests/Gateway/run.sh [-k WORDS] [--size 0.1] [--seed N]
# KHP names the binary (default .build/khp, a release build, made when missing); PYTHON the interpreter, with the packages
# of scripts/requirements.txt. `make gateway-trials` sees to all of it. The last line is `N passed, N failed`; the status is
# not 0 when anything failed.
set -euo pipefail
cd "$(dirname "$0")/../.."

khp=${KHP:-.build/khp}
if [ ! -x "$khp" ]; then
    [ -z "${KHP:-}" ] || { echo "trials: there is no program at KHP=$khp" >&2; exit 1; }
    make khp
fi
# Each client is a descriptor here and two in the gateway.
ulimit -n "$(ulimit -Hn)"
exec env PYTHONDONTWRITEBYTECODE=1 "${PYTHON:-python3}" -u Tests/Gateway/run.py --khp "$khp" "$@"
