// swift-tools-version: 6.2

// WebSockets and routes of hummingbird on one port. A package of its own, so that hummingbird is resolved here only, and
// NIOCertificateReloading, which takes as long to build.

import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

func library(_ name: String) -> Target.Dependency { .product(name: name, package: "swift-khp") }
func hummingbird(_ name: String) -> Target.Dependency { .product(name: name, package: "hummingbird") }

let package = Package(
    name: "khp-example-hummingbird",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-khp", path: "../..", traits: ["Hummingbird"]),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0"),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.35.0"),
    ],
    targets: [
        .executableTarget(
            name: "ExampleHummingbird",
            dependencies: [library("KHPHummingbird"), library("KHPServer"), hummingbird("Hummingbird")],
            path: "Program",
            swiftSettings: settings
        ),
        .testTarget(
            name: "HummingbirdTests",
            dependencies: [
                library("KHPHummingbird"), library("KHPServer"), library("KHPClient"), library("KHPTesting"),
                hummingbird("Hummingbird"), hummingbird("HummingbirdTLS"), hummingbird("HummingbirdTesting"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "NIOCertificateReloading", package: "swift-nio-extras"),
            ],
            path: "Tests",
            swiftSettings: settings
        ),
    ]
)
