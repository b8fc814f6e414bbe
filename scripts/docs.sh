#!/usr/bin/env bash
# Builds the DocC documentation of the public modules into .build/docs, without a package plugin.
set -euo pipefail
cd "$(dirname "$0")/.."

modules=(KHPProtocol KHPWebSocket KHPClient KHPServer KHPTesting)
output=.build/docs
graphs=.build/docs-graphs

if command -v docc >/dev/null; then
    docc=(docc)
elif command -v xcrun >/dev/null; then
    docc=(xcrun docc)
else
    docc=("$(dirname "$(command -v swift)")/docc")
    [ -x "${docc[0]}" ] || { echo "docs: docc is not here; it comes with the toolchains of swift.org" >&2; exit 1; }
fi

swift package dump-symbol-graph --minimum-access-level public --skip-synthesized-members
# The newest one: the package keeps one for each platform and configuration.
dumped=$(find .build/ -maxdepth 3 -type d -name symbolgraph -print0 | xargs -0 ls -td | head -n 1)

rm -rf "$output" "$graphs"
mkdir -p "$output"
archives=()
for module in "${modules[@]}"; do
    mkdir -p "$graphs/$module"
    find "$dumped" \( -name "$module.symbols.json" -o -name "$module@*.symbols.json" \) -exec cp {} "$graphs/$module" \;
    catalog=()
    if [ -d "Sources/$module/Documentation.docc" ]; then
        catalog=("Sources/$module/Documentation.docc")
    fi
    "${docc[@]}" convert ${catalog[@]+"${catalog[@]}"} \
        --additional-symbol-graph-dir "$graphs/$module" \
        --fallback-display-name "$module" \
        --fallback-bundle-identifier "swift-khp.$module" \
        --output-path "$output/$module.doccarchive"
    archives+=("$output/$module.doccarchive")
done
"${docc[@]}" merge "${archives[@]}" --synthesized-landing-page-name swift-khp --output-path "$output/swift-khp.doccarchive"
echo "docs: $output/swift-khp.doccarchive"
