#!/usr/bin/env bash
# Fails when one of the programs given links more of Foundation than its essentials (which swift-http-types uses), or
# OpenSSL's TLS, which only the digests' half is wanted of.
#   scripts/check-linkage.sh PROGRAM...
set -euo pipefail

command -v ldd >/dev/null || { echo "linkage: no ldd here, nothing checked"; exit 0; }
status=0
for program in "$@"; do
    if unwanted=$(ldd "$program" | grep -oE '^\s*lib(Foundation|_FoundationICU|FoundationNetworking|FoundationInternationalization|ssl)\.so[^ ]*'); then
        printf '%s links %s\n' "$program" "$(echo $unwanted)" >&2
        status=1
    else
        echo "$program: no Foundation but its essentials"
    fi
done
exit "$status"
