// swift-tools-version: 6.2

// Coverage-guided fuzzing of all code that a peer's bytes reach. A package of its own: it needs libFuzzer, which comes
// with the toolchains of swift.org, and compiler flags that no user should build with. `run.sh` builds it.

import Foundation
import PackageDescription

/// The targets use declarations with `package` access in swift-khp. The compiler's name of that package is made from
/// its directory's name, as SwiftPM makes it.
let libraryDirectory = URL(fileURLWithPath: Context.packageDirectory)
    .deletingLastPathComponent().deletingLastPathComponent()
let libraryName = libraryDirectory.lastPathComponent.lowercased()
    .map { $0.isLetter || $0.isNumber ? String($0) : "_" }.joined()

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "khp-fuzz",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-khp", path: "../.."),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
    ],
    targets: [
        .executableTarget(
            name: "khp-fuzz",
            dependencies: [
                .product(name: "KHPProtocol", package: "swift-khp"),
                .product(name: "KHPServer", package: "swift-khp"),
                .product(name: "KHPTesting", package: "swift-khp"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            packageAccess: false,
            swiftSettings: settings + [.unsafeFlags(["-package-name", libraryName])]
        )
    ]
)
