// swift-tools-version: 6.2

// The library beside packages that its users know, with the traits that bring them: a package of its own, so that a build of
// the library resolves and builds none of them; `run.sh` runs it.

import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let client = Target.Dependency.product(name: "KHPClient", package: "swift-khp")
let server = Target.Dependency.product(name: "KHPServer", package: "swift-khp")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let testing = Target.Dependency.product(name: "KHPTesting", package: "swift-khp")

let package = Package(
    name: "khp-ecosystem",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-khp", path: "../..", traits: ["Metrics", "Tracing"]),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.1.0"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.5.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing.git", from: "1.1.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
    ],
    targets: [
        .testTarget(
            name: "MetricsTests",
            dependencies: [
                client, server, testing, httpTypes,
                .product(name: "KHPMetrics", package: "swift-khp"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
            ],
            path: "MetricsTests",
            swiftSettings: settings
        ),
        .testTarget(
            name: "TracingTests",
            dependencies: [
                client, server, testing, httpTypes,
                .product(name: "KHPMetrics", package: "swift-khp"),
                .product(name: "KHPTracing", package: "swift-khp"),
                .product(name: "KHPHTTP2", package: "swift-khp"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
            ],
            path: "TracingTests",
            swiftSettings: settings
        ),
        // For scripts/check-linkage.sh.
        .executableTarget(
            name: "Linkage",
            dependencies: [
                client, server, testing,
                .product(name: "KHPHTTP2", package: "swift-khp"),
                .product(name: "KHPJSON", package: "swift-khp"),
                .product(name: "KHPMetrics", package: "swift-khp"),
                .product(name: "KHPNIOHTTP1", package: "swift-khp"),
                .product(name: "KHPTracing", package: "swift-khp"),
            ],
            path: "Linkage",
            swiftSettings: settings
        ),
    ]
)
