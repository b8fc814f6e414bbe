// swift-tools-version: 6.2

// Verdicts of our frame decoder and of NIOWebSocket's on streams of frames. A package of its own, so that a build of the
// library does not build it; `run.sh` does.

import Foundation
import PackageDescription

/// The judge uses declarations with `package` access in swift-khp. The compiler's name of that package is made from its
/// directory's name, as SwiftPM makes it.
let libraryDirectory = URL(fileURLWithPath: Context.packageDirectory)
    .deletingLastPathComponent().deletingLastPathComponent()
let libraryName = libraryDirectory.lastPathComponent.lowercased()
    .map { $0.isLetter || $0.isNumber ? String($0) : "_" }.joined()

let package = Package(
    name: "khp-differential",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-khp", path: "../.."),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
    ],
    targets: [
        .executableTarget(
            name: "frame-judge",
            dependencies: [
                .product(name: "KHPProtocol", package: "swift-khp"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOWebSocket", package: "swift-nio"),
            ],
            path: "Judge",
            packageAccess: false,
            swiftSettings: [
                .swiftLanguageMode(.v6),
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("InternalImportsByDefault"),
                .enableUpcomingFeature("MemberImportVisibility"),
                .unsafeFlags(["-package-name", libraryName]),
            ]
        )
    ]
)
