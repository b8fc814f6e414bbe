// swift-tools-version: 6.2

// Runs the simulation's seeds by the million. A package of its own, as Benchmarks and the fuzz targets are: a test is a
// debug build, which takes ten times as long, and a release build must not want testable imports. Its sources are those
// that the tests compile as well. `run.sh` builds it.

import Foundation
import PackageDescription

/// The simulation uses declarations with `package` access in swift-khp. The compiler's name of that package is made
/// from its directory's name, as SwiftPM makes it.
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
    name: "khp-simulation",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-khp", path: "../.."),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.98.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.1.0"),
    ],
    targets: [
        .executableTarget(
            name: "khp-simulate",
            dependencies: [
                .product(name: "KHPProtocol", package: "swift-khp"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: ".",
            exclude: ["README.md", "Tests", "run.sh"],
            sources: ["World", "Program"],
            packageAccess: false,
            swiftSettings: settings + [.unsafeFlags(["-package-name", libraryName])]
        )
    ]
)
