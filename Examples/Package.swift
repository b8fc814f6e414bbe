// swift-tools-version: 6.2

// The examples, and the code that the documentation shows. A package of its own, so that a build of the library builds
// none of it.

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
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")

/// An example: one screen of code in its folder, built and run by CI.
func example(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: "Example\(name)", dependencies: dependencies, path: name, swiftSettings: settings)
}

let package = Package(
    name: "khp-examples",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-khp", path: ".."),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
    ],
    targets: [
        example("EchoServer", [library("KHPServer"), logging]),
        example("EchoClient", [library("KHPClient")]),
        example(
            "StreamingServer",
            [library("KHPServer"), library("KHPHTTP2"), httpTypes, logging, nioCore, nioSSL]
        ),
        example("BasicLogin", [library("KHPClient"), library("KHPServer"), nioCore]),
        example("DigestLogin", [library("KHPClient"), library("KHPServer"), nioCore]),
        example("Redirector", [library("KHPClient"), library("KHPServer"), nioCore, logging, lifecycle]),
        example("CustomExtension", [library("KHPClient"), library("KHPServer"), library("KHPProtocol"), nioCore]),
        // HMAC for the signatures, from the system's OpenSSL.
        .systemLibrary(name: "CExampleCrypto", path: "CExampleCrypto"),
        example(
            "SignedMessages",
            [library("KHPClient"), library("KHPServer"), library("KHPProtocol"), "CExampleCrypto", nioCore]
        ),
        // Snippets of the documentation that no example runs: kept compiling.
        .target(
            name: "ExamplePages",
            dependencies: [
                library("KHPClient"), library("KHPServer"), library("KHPProtocol"), library("KHPHTTP2"),
                library("KHPJSON"), library("KHPNIOHTTP1"), library("KHPTesting"),
                nioCore, nioHTTP1, nioPosix, nioSSL, httpTypes, logging, lifecycle, unixSignals,
            ],
            path: "Pages",
            swiftSettings: settings
        ),
        .testTarget(
            name: "ExampleTests",
            dependencies: [
                "ExampleCustomExtension", "ExampleSignedMessages", "ExamplePages",
                library("KHPClient"), library("KHPServer"), library("KHPProtocol"), library("KHPTesting"), nioCore,
                nioPosix,
            ],
            path: "Tests",
            swiftSettings: settings
        ),
    ]
)
