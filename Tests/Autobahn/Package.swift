// swift-tools-version: 6.2

// Our side of Autobahn|Testsuite. A package of its own, so that a build of the library does not build it; `run.sh` does.

import PackageDescription

let package = Package(
    name: "khp-autobahn",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "swift-khp", path: "../.."),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
    ],
    targets: [
        .executableTarget(
            name: "autobahn-peer",
            dependencies: [
                .product(name: "KHPClient", package: "swift-khp"),
                .product(name: "KHPServer", package: "swift-khp"),
                .product(name: "KHPProtocol", package: "swift-khp"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Peer",
            swiftSettings: [
                .swiftLanguageMode(.v6),
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("InternalImportsByDefault"),
                .enableUpcomingFeature("MemberImportVisibility"),
            ]
        )
    ]
)
