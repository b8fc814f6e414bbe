// swift-tools-version: 6.2

// Measures swift-khp beside NIOWebSocket. A package of its own, so that nobody who uses the library resolves it.

import Foundation
import PackageDescription

/// The micro benchmarks measure what has `package` access in swift-khp, whose name for the compiler is made from its
/// directory's name, as SwiftPM makes it.
let libraryDirectory = URL(fileURLWithPath: Context.packageDirectory).deletingLastPathComponent()
let libraryName = libraryDirectory.lastPathComponent.lowercased()
    .map { $0.isLetter || $0.isNumber ? String($0) : "_" }.joined()

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioWebSocket = Target.Dependency.product(name: "NIOWebSocket", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")

let package = Package(
    name: "khp-benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-khp", path: ".."),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-http2.git", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.36.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.5.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.5.0"),
    ],
    targets: [
        .systemLibrary(name: "CBenchZlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
        .systemLibrary(name: "CBenchMemory"),
        .executableTarget(
            name: "bench-micro",
            dependencies: [
                .product(name: "KHPProtocol", package: "swift-khp"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                nioCore, nioEmbedded, nioHTTP1, nioWebSocket,
            ],
            packageAccess: false,
            swiftSettings: settings + [.unsafeFlags(["-package-name", libraryName])]
        ),
        .executableTarget(
            name: "bench-growth",
            dependencies: [
                .product(name: "KHPProtocol", package: "swift-khp"),
                .product(name: "KHPServer", package: "swift-khp"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                nioCore,
            ],
            packageAccess: false,
            swiftSettings: settings + [.unsafeFlags(["-package-name", libraryName])]
        ),
        .executableTarget(
            name: "bench-server",
            dependencies: [
                .product(name: "KHPServer", package: "swift-khp"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                "CBenchMemory", "CBenchZlib", nioCore, nioPosix, nioHTTP1, nioWebSocket,
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "bench-http2",
            dependencies: [
                .product(name: "KHPHTTP2", package: "swift-khp"),
                .product(name: "KHPServer", package: "swift-khp"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                nioCore, nioPosix, nioHTTP1,
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "bench-stream",
            dependencies: [
                .product(name: "KHPClient", package: "swift-khp"),
                .product(name: "KHPServer", package: "swift-khp"),
                nioCore, nioPosix,
            ],
            swiftSettings: settings
        ),
        .executableTarget(name: "bench-plot", swiftSettings: settings),
        .target(name: "BenchMeters", swiftSettings: settings),
        .executableTarget(name: "bench-load", dependencies: ["BenchMeters", "CBenchZlib"], swiftSettings: settings),
        .executableTarget(
            name: "bench-scale",
            dependencies: [
                .product(name: "KHPClient", package: "swift-khp"),
                .product(name: "KHPServer", package: "swift-khp"),
                .product(name: "KHPTesting", package: "swift-khp"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                "BenchMeters", nioCore, nioPosix,
            ],
            swiftSettings: settings
        ),
    ]
)
