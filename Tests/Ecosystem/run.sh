#!/usr/bin/env bash
# Tests the library beside packages of the ecosystem, and shows that those who do not ask for them resolve none of them.
set -euo pipefail
cd "$(dirname "$0")/../.."

# A build folder of its own, since the traits change how the library is compiled; CI, which builds nothing behind this,
# hands it the one that is there.
folder=${KHP_ECOSYSTEM_BUILD:-.build/ecosystem}
beside=(--package-path Tests/Ecosystem --scratch-path "$folder" --disable-build-manifest-caching)
swift build "${beside[@]}" --build-tests --explicit-target-dependency-import-check error
swift test "${beside[@]}" --skip-build "$@"
scripts/check-linkage.sh "$folder/debug/Linkage"
scripts/check-supply.py --resolved Tests/Ecosystem --traits Metrics,Tracing --checkouts "$folder/checkouts"

# A user of the library alone.
user=.build/ecosystem-user
rm -rf "$user"
mkdir -p "$user/Sources/user"
cat >"$user/Package.swift" <<PACKAGE
// swift-tools-version: 6.2
import PackageDescription
let package = Package(
    name: "user",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "swift-khp", path: "$PWD")],
    targets: [.executableTarget(name: "user", dependencies: [.product(name: "KHPServer", package: "swift-khp")])]
)
PACKAGE
echo 'import KHPServer' >"$user/Sources/user/main.swift"
swift package --package-path "$user" resolve
scripts/check-supply.py --resolved "$user" --checkouts "$user/.build/checkouts"
echo "a user of the library alone resolves: $(sed -nE 's/.*"identity" : "(.*)".*/\1/p' "$user/Package.resolved" | tr '\n' ' ')"
