// swift-tools-version: 6.2

// The command `khp`. A package of its own, so that nobody who uses the library resolves what only the command needs.

import PackageDescription

/// Every target of ours is compiled under the same rules.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

func library(_ name: String) -> Target.Dependency { .product(name: name, package: "swift-khp") }
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let yams = Target.Dependency.product(name: "Yams", package: "Yams")

let package = Package(
    name: "khp-command",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "khp", targets: ["khp"])
    ],
    dependencies: [
        .package(name: "swift-khp", path: ".."),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.35.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.0"),
    ],
    targets: [
        .target(
            name: "KHPCommand",
            dependencies: [
                "CLibcrypto", "KHPGateway",
                library("KHPProtocol"), library("KHPClient"), library("KHPServer"), library("KHPHTTP2"),
                library("KHPTesting"),
                nioCore, nioPosix, nioSSL, httpTypes, argumentParser,
                .product(name: "NIOExtras", package: "swift-nio-extras"),
                logging,
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings
        ),
        // Verifies the signatures of tokens: the library is asked for nothing here that its users could not ask for.
        .systemLibrary(name: "CLibcrypto", providers: [.apt(["libssl-dev"]), .brew(["openssl@3"])]),
        // The gateway, on the library's public API alone.
        .target(
            name: "KHPGateway",
            dependencies: [
                "CLibcrypto",
                library("KHPProtocol"), library("KHPClient"), library("KHPServer"), library("KHPHTTP2"),
                nioCore, nioHTTP1, nioPosix, nioSSL, nioTLS, httpTypes, logging, yams,
            ],
            swiftSettings: settings
        ),
        .executableTarget(name: "khp", dependencies: ["KHPCommand"], swiftSettings: settings),
        // The library's helpers for tests, by a link: they are no product of it.
        .target(
            name: "CommandTestSupport",
            dependencies: [
                library("KHPProtocol"), library("KHPTesting"), library("KHPServer"),
                nioCore, nioPosix, nioSSL, logging,
            ],
            path: "Tests/TestSupport",
            // These speak through declarations that only the library's package sees, or HTTP/2.
            exclude: ["DigestAnswer.swift", "ExtendedRawClient.swift", "LeavingServer.swift", "StreamPeer.swift"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "KHPCommandTests",
            dependencies: [
                "KHPCommand", "KHPGateway", "khp", "CommandTestSupport",
                library("KHPProtocol"), library("KHPClient"), library("KHPServer"), library("KHPHTTP2"),
                library("KHPTesting"),
                nioCore, nioPosix, nioSSL, httpTypes, argumentParser, logging,
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "KHPGatewayTests",
            dependencies: [
                "KHPGateway", "CommandTestSupport",
                library("KHPProtocol"), library("KHPClient"), library("KHPServer"), library("KHPHTTP2"),
                library("KHPTesting"),
                nioCore, nioEmbedded, nioHTTP1, nioPosix, nioSSL, httpTypes, logging,
            ],
            exclude: ["SchemaFindings.txt", "Tokens"],
            swiftSettings: settings
        ),
    ]
)
