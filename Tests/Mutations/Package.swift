// swift-tools-version: 6.2

// Weakens one guard of the library at a time and looks for a test that goes red. A package of its own: nobody else needs
// swift-syntax. `make mutate` builds and runs it.

import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "khp-mutations",
    platforms: [.macOS(.v15)],
    dependencies: [.package(url: "https://github.com/swiftlang/swift-syntax.git", exact: "603.0.1")],
    targets: [
        .target(
            name: "Mutations",
            dependencies: [
                .product(name: "SwiftSyntax", package: "swift-syntax"),
                .product(name: "SwiftParser", package: "swift-syntax"),
                .product(name: "SwiftOperators", package: "swift-syntax"),
            ],
            swiftSettings: settings
        ),
        .executableTarget(name: "khp-mutate", dependencies: ["Mutations"], swiftSettings: settings),
        .testTarget(name: "MutationsTests", dependencies: ["Mutations"], swiftSettings: settings),
    ]
)
