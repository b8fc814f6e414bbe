import Foundation
import Testing

@testable import KHPGateway

/// The output of --print-config is a configuration, wherever it is put.
@Suite("A printed configuration")
struct PrintedConfigurationTests {
    /// Reads a file of a folder, with the process in another one.
    private static func read(_ file: String, _ text: String) -> ConfigurationReading {
        let files = [
            "users": "joe:$2b$04$abcdefghijklmnopqrstuuN7NK0iG5tVxz5sAfvkxl7bLWtL0kKQK", "groups": "ops: joe",
        ]
        var surroundings = ConfigurationSurroundings(
            environment: [:],
            hostName: "here",
            readFile: { path, maximum throws(FileFailure) in
                if path == file { return Array(text.utf8.prefix(maximum)) }
                // One folder has them, by its relative or its whole path.
                let folder = ["g/", "/srv/g/"].first { path.hasPrefix($0) } ?? "nowhere"
                guard let found = files[String(path.dropFirst(folder.count))] else {
                    throw FileFailure("does not exist")
                }
                return Array(found.utf8.prefix(maximum))
            },
            isReadableByOthers: { _ in false },
            now: { 1_800_000_000 }
        )
        surroundings.workingFolder = "/srv"
        return GatewayFile.read(file, surroundings)
    }

    private static let texts = [
        """
        version: 1
        listeners: {a: {listen: "unix:a.sock"}}
        realms: {r: {schemes: basic, users: users, groups: groups}}
        pools: {p: {backends: ["unix:mq.sock", "tcp://mq.example:1883"]}, w: {backends: "wss://mq.example/x"}}
        services:
          s: {path: /s, realm: r, pool: p, require: {roles: ops}}
          w: {path: /w, realm: r, pool: w}
          b: {path: /b, balance: {members: "wss://other.example/b", by: random}}
          r: {path: /r, redirect: "wss://other.example/r"}
          m: {path: /m, subprotocols: {mqtt: {pool: p}}}
        """,
        ConfigurationFixture.minimal(),
    ]

    @Test("is one that --check --strict takes, in any folder", arguments: Self.texts)
    func strict(_ text: String) throws {
        let first = Self.read("g/gateway.yaml", text)
        #expect(first.findings.map(\.description) == [])
        let printed = try #require(first.loaded).effectiveText
        let second = Self.read("elsewhere/printed.yaml", printed)
        #expect(second.findings.map(\.description) == [], "\(printed)")
        #expect(second.loaded?.effectiveText == printed)
        #expect(GatewayMaterials(try #require(first.loaded)).effective == printed)
    }

    @Test("has whole paths, all defaults, and no group that does not apply")
    func whole() throws {
        let text = try #require(Self.read("g/gateway.yaml", Self.texts[0]).loaded).effectiveText
        for line in [
            "listen: \"unix:/srv/g/a.sock\"", "users: /srv/g/users", "groups: /srv/g/groups", "watch: off",
            "rateOut: off", "slowStart: off", "prepared: off",
        ] {
            #expect(text.contains(line.replacing("\"", with: "")) || text.contains(line), "\(line) in \(text)")
        }
        // One pool has a backend of TLS.
        #expect(text.components(separatedBy: "verify: true").count == 2)
    }
}
