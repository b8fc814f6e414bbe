#!/usr/bin/env bash
# Builds the documentation of the public modules, and the pages that belong to none of them, into one DocC archive:
# .build/docs/swift-khp.doccarchive. A warning of docc is an error, and so is a page or a link that leads nowhere.
# KHPHummingbird is left out: its one method has its page in KHPServer's Mounting, and hummingbird takes minutes to build.
set -euo pipefail
cd "$(dirname "$0")/.."

# Each module stands before those that link to it.
modules=(KHPProtocol KHPWebSocket KHPClient KHPServer KHPJSON KHPHTTP2 KHPNIOHTTP1 KHPMetrics KHPTracing KHPTesting)
pages=Documentation/swift-khp.docc
archive=.build/docs/swift-khp.doccarchive
scratch=.build/docs-scratch

if command -v docc >/dev/null; then
    docc=(docc)
elif command -v xcrun >/dev/null; then
    docc=(xcrun docc)
else
    docc=("$(dirname "$(command -v swift)")/docc")
    [ -x "${docc[0]}" ] || { echo "docs: docc is not here; it comes with the toolchains of swift.org" >&2; exit 1; }
fi

# The symbol graphs come from the built modules, not from `swift package dump-symbol-graph`: that one builds and reads
# every target of the package, and fails on test bundles that have not been built. The program of Tests/Ecosystem has all
# of them, with their traits; CI, which has built it before, hands over its folder.
folder=${KHP_ECOSYSTEM_BUILD:-.build/ecosystem}
build=(swift build --package-path Tests/Ecosystem --scratch-path "$folder" --disable-build-manifest-caching)
"${build[@]}" --product Linkage
binaries=$("${build[@]}" --show-bin-path)
triple=$(swift -print-target-info | sed -nE 's/.*"triple": "([^"]+)".*/\1/p' | head -n 1)
maps=()
for map in "$binaries"/*.build/module.modulemap "$folder"/checkouts/*/Sources/*/include/module.modulemap \
    Sources/*/module.modulemap; do
    [ -e "$map" ] && maps+=(-Xcc "-fmodule-map-file=$map")
done

rm -rf "$archive" "$scratch"
mkdir -p "$(dirname "$archive")" "$scratch/graphs" "$scratch/archives"
archives=() dependencies=() catalogs=()

# convert NAME CATALOG [ARGUMENT...]: makes one archive, linked to those before it.
convert() {
    local name=$1 catalog=$2 module=()
    shift 2
    catalogs+=("$name=$catalog")
    if [ -d "$scratch/graphs/$name" ]; then module=(--module "$name"); fi
    scripts/doc-links.py --graphs "$scratch/graphs" ${module[@]+"${module[@]}"} --catalogs "${catalogs[@]}" \
        --copy "$scratch/$name.docc"
    "${docc[@]}" convert "$scratch/$name.docc" "$@" \
        --fallback-display-name "$name" --fallback-bundle-identifier "$name" \
        --enable-experimental-external-link-support ${dependencies[@]+"${dependencies[@]}"} \
        --warnings-as-errors --output-path "$scratch/archives/$name.doccarchive"
    archives+=("$scratch/archives/$name.doccarchive")
    dependencies+=(--dependency "$scratch/archives/$name.doccarchive")
}

for module in "${modules[@]}"; do
    mkdir "$scratch/graphs/$module"
    # These consist of what they add to types of others, which has pages only so. Elsewhere it would hide the modules below.
    extensions=()
    case $module in KHPJSON | KHPHTTP2 | KHPNIOHTTP1) extensions=(-emit-extension-block-symbols) ;; esac
    swift symbolgraph-extract -module-name "$module" -target "$triple" -I "$binaries/Modules" "${maps[@]}" \
        -minimum-access-level public -skip-synthesized-members ${extensions[@]+"${extensions[@]}"} \
        -output-dir "$scratch/graphs/$module"
    convert "$module" "Sources/$module/Documentation.docc" --additional-symbol-graph-dir "$scratch/graphs/$module"
done
convert swift-khp "$pages"
"${docc[@]}" merge "${archives[@]}" --synthesized-landing-page-name swift-khp --output-path "$archive"

# `docc merge` makes a landing page that only lists the archives; ours is a page of the last one.
for page in index.html documentation/index.html; do
    up=$(dirname "$page" | sed -E 's|^\.$||; s|[^/]+|../|g')
    printf '<!doctype html><title>swift-khp</title><meta http-equiv="refresh" content="0; url=%sdocumentation/swift-khp/">\n' \
        "$up" >"$archive/$page"
done
scripts/check-archive.py "$archive"
echo "docs: $archive"
