#!/usr/bin/env bash
# Plays the command `khp` against peers that nobody here wrote, and against raw peers that break the rules.
#   Tests/Interop/run.sh [-v] [-k WORDS] [-j WIDTH] [--seed N] [--without-foreign]
# KHP names the binary (default .build/debug/khp, built when missing); PYTHON the interpreter (3.10 or later);
# KHP_HUMMINGBIRD the example of hummingbird (default where `make hummingbird` builds it; its cases are skipped without).
# The last line is `N passed, N failed`; the status is not 0 when anything failed.
set -euo pipefail
cd "$(dirname "$0")/../.."

khp=${KHP:-.build/debug/khp}
if [ ! -x "$khp" ]; then
    if [ -n "${KHP:-}" ]; then
        echo "interop: there is no program at KHP=$khp" >&2
        exit 1
    fi
    swift build --package-path Command --scratch-path .build --product khp
fi
# A program beside the command, which serves ordinary HTTP.
examples=${KHP_EXAMPLES:-.build/debug}
if [ ! -x "$examples/ExampleStreamingServer" ]; then
    swift build --package-path Examples --scratch-path .build --disable-build-manifest-caching \
        --product ExampleStreamingServer
fi
command -v openssl >/dev/null || { echo "interop: openssl is needed to make certificates" >&2; exit 1; }

# A Python that has the wanted peers already, as `make interop` sees to, serves as it is.
has_peers() {
    "$1" - scripts/requirements.txt 2>/dev/null <<'PYTHON'
import importlib.metadata, sys
for line in open(sys.argv[1]):
    name, equals, version = line.strip().partition("==")
    if equals and importlib.metadata.version(name) != version:
        sys.exit(1)
PYTHON
}
python=${PYTHON:-python3}
if ! has_peers "$python"; then
    environment=.build/interop-venv
    if ! has_peers "$environment/bin/python"; then
        rm -rf "$environment"
        mkdir -p .build
        "$python" -m venv "$environment"
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --requirement scripts/requirements.txt
    fi
    python=$environment/bin/python
fi

exec env PYTHONDONTWRITEBYTECODE=1 "$python" -u Tests/Interop/suite.py --khp "$khp" --examples "$examples" \
    --hummingbird "${KHP_HUMMINGBIRD:-.build/ecosystem/debug/ExampleHummingbird}" "$@"
