// swift-tools-version: 6.2

import PackageDescription

/// Every target of ours is compiled under the same rules.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")

let package = Package(
    name: "swift-khp",
    // The first is the one that is meant to work; the others are there for the compiler to reach the sentence that says so.
    platforms: [.macOS(.v15), .iOS(.v18), .tvOS(.v18), .watchOS(.v11), .visionOS(.v2)],
    products: [
        .library(name: "KHPProtocol", targets: ["KHPProtocol"]),
        .library(name: "KHPClient", targets: ["KHPClient"]),
        .library(name: "KHPServer", targets: ["KHPServer"]),
        .library(name: "KHPJSON", targets: ["KHPJSON"]),
        .library(name: "KHPMetrics", targets: ["KHPMetrics"]),
        .library(name: "KHPTracing", targets: ["KHPTracing"]),
        .library(name: "KHPTesting", targets: ["KHPTesting"]),
        .library(name: "KHPHummingbird", targets: ["KHPHummingbird"]),
        .library(name: "KHPHTTP2", targets: ["KHPHTTP2"]),
        .library(name: "KHPNIOHTTP1", targets: ["KHPNIOHTTP1"]),
    ],
    // Without them nothing of what they need is resolved or built, and the modules of these names are empty.
    traits: [
        .trait(name: "Metrics", description: "KHPMetrics: measures connections with swift-metrics"),
        .trait(name: "Tracing", description: "KHPTracing: traces handshakes with swift-distributed-tracing"),
        .trait(name: "Hummingbird", description: "KHPHummingbird: endpoints in an application of hummingbird"),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.98.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.36.0"),
        .package(url: "https://github.com/apple/swift-nio-http2.git", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.1.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.5.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.5.0"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.5.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing.git", from: "1.1.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0"),
    ],
    targets: [
        .systemLibrary(name: "COpenSSL", providers: [.apt(["libssl-dev"]), .brew(["openssl@3"])]),
        .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
        // bcrypt and SHA-crypt for the server's users file; macOS has no such crypt.
        .systemLibrary(name: "CCrypt", providers: [.apt(["libcrypt-dev"])]),
        // Linux's timers; empty elsewhere.
        .systemLibrary(name: "CTimer"),
        .target(
            name: "KHPProtocol",
            dependencies: [nioCore, httpTypes, "COpenSSL", "CZlib"],
            swiftSettings: settings
        ),
        .target(
            name: "KHPWebSocket",
            dependencies: ["KHPProtocol", "CTimer", nioCore, nioPosix, nioSSL, logging],
            swiftSettings: settings
        ),
        .target(
            name: "KHPClient",
            dependencies: ["KHPProtocol", "KHPWebSocket", nioCore, nioPosix, nioSSL, httpTypes, logging],
            swiftSettings: settings
        ),
        .target(
            name: "KHPServer",
            dependencies: [
                "KHPProtocol", "KHPWebSocket", nioCore, nioPosix, nioTLS, nioSSL, httpTypes, logging, lifecycle,
                .target(name: "CCrypt", condition: .when(platforms: [.linux])),
            ],
            swiftSettings: settings
        ),
        // The only one that uses Foundation, and its essentials alone.
        .target(name: "KHPJSON", dependencies: ["KHPProtocol", "KHPWebSocket", nioCore], swiftSettings: settings),
        .target(
            name: "KHPHummingbird",
            dependencies: [
                "KHPServer", nioCore, logging,
                .product(
                    name: "HummingbirdCore",
                    package: "hummingbird",
                    condition: .when(traits: ["Hummingbird"])
                ),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "KHPHTTP2",
            dependencies: [
                "KHPProtocol", "KHPWebSocket", "KHPClient", "KHPServer", nioCore, nioSSL,
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
            ],
            swiftSettings: settings
        ),
        // A product of its own, so that nobody else links SwiftNIO's HTTP/1.
        .target(
            name: "KHPNIOHTTP1",
            dependencies: ["KHPServer", nioCore, nioHTTP1],
            swiftSettings: settings
        ),
        .target(
            name: "KHPMetrics",
            dependencies: [
                "KHPProtocol", "KHPClient", "KHPServer",
                .product(name: "CoreMetrics", package: "swift-metrics", condition: .when(traits: ["Metrics"])),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "KHPTracing",
            dependencies: [
                "KHPProtocol", "KHPClient", "KHPServer", httpTypes,
                .product(name: "Tracing", package: "swift-distributed-tracing", condition: .when(traits: ["Tracing"])),
                .product(
                    name: "Instrumentation",
                    package: "swift-distributed-tracing",
                    condition: .when(traits: ["Tracing"])
                ),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "KHPTesting",
            dependencies: [
                "KHPProtocol", "KHPWebSocket", "KHPClient", "KHPServer", "COpenSSL", nioCore, httpTypes,
            ],
            swiftSettings: settings
        ),
        .target(
            name: "TestSupport",
            dependencies: [
                "KHPProtocol", "KHPTesting", "KHPServer", "COpenSSL", nioCore, nioPosix, nioSSL, logging,
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
            ],
            path: "Tests/TestSupport",
            swiftSettings: settings
        ),
        .testTarget(
            name: "KHPServerTests",
            dependencies: [
                "KHPProtocol", "KHPWebSocket", "KHPClient", "KHPServer", "KHPTesting", "TestSupport", nioCore,
                nioEmbedded, httpTypes, logging,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "KHPClientTests",
            dependencies: [
                "KHPProtocol", "KHPWebSocket", "KHPClient", "KHPServer", "KHPTesting", "TestSupport", nioCore,
                nioPosix, nioEmbedded, nioSSL, httpTypes, logging,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "KHPProtocolTests",
            dependencies: [
                "KHPProtocol", "KHPWebSocket", "KHPTesting", "TestSupport", "CZlib", nioCore, nioPosix, nioEmbedded,
                httpTypes,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "KHPWebSocketTests",
            dependencies: ["KHPProtocol", "KHPWebSocket", "TestSupport", nioCore, nioPosix, nioEmbedded, nioSSL],
            swiftSettings: settings
        ),
        .testTarget(
            name: "KHPHTTP2Tests",
            dependencies: [
                "KHPProtocol", "KHPWebSocket", "KHPClient", "KHPServer", "KHPHTTP2", "KHPTesting", "TestSupport",
                nioCore, nioPosix, nioEmbedded, nioSSL, httpTypes,
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "KHPNIOHTTP1Tests",
            dependencies: [
                "KHPProtocol", "KHPClient", "KHPServer", "KHPNIOHTTP1", "TestSupport", nioCore, nioPosix, nioHTTP1,
                nioSSL, httpTypes,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "KHPJSONTests",
            dependencies: ["KHPProtocol", "KHPWebSocket", "KHPServer", "KHPTesting", "KHPJSON", nioCore],
            swiftSettings: settings
        ),
        .testTarget(
            name: "TortureTests",
            dependencies: [
                "KHPProtocol", "KHPWebSocket", "KHPClient", "KHPServer", "KHPHTTP2", "KHPNIOHTTP1", "KHPTesting",
                "TestSupport", nioCore, nioPosix, nioHTTP1, nioSSL, httpTypes, logging,
                .product(name: "NIOHTTP2", package: "swift-nio-http2"),
                .product(name: "NIOHPACK", package: "swift-nio-http2"),
            ],
            path: "Tests/Torture",
            exclude: ["README.md"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "SimulationTests",
            dependencies: ["KHPProtocol", nioCore, httpTypes],
            path: "Tests/Simulation",
            exclude: ["Package.swift", "Program", "README.md", "run.sh"],
            sources: ["World", "Tests"],
            swiftSettings: settings
        ),
        .testTarget(name: "CitationTests", swiftSettings: settings),
        .testTarget(name: "LayoutTests", swiftSettings: settings),
        .testTarget(
            name: "TranscriptTests",
            dependencies: ["KHPTesting", "KHPProtocol", "TestSupport", nioCore],
            swiftSettings: settings
        ),
        .testTarget(
            name: "StatusTableTests",
            dependencies: ["KHPProtocol", "KHPClient", "KHPServer", "TestSupport", nioCore, httpTypes],
            swiftSettings: settings
        ),
    ]
)
