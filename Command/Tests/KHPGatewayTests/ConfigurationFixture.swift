import KHPGateway

/// Reads configurations that lie in no folder.
enum ConfigurationFixture {
    static func surroundings(
        _ text: String,
        files: [String: String] = [:],
        environment: [String: String] = [:],
        isReadableByOthers: Bool = false
    ) -> ConfigurationSurroundings {
        surroundings(
            bytes: Array(text.utf8),
            files: files,
            environment: environment,
            isReadableByOthers: isReadableByOthers
        )
    }

    static func surroundings(
        bytes: [UInt8],
        files: [String: String] = [:],
        environment: [String: String] = [:],
        isReadableByOthers: Bool = false
    ) -> ConfigurationSurroundings {
        ConfigurationSurroundings(
            environment: environment,
            hostName: "here",
            readFile: { path, maximum throws(FileFailure) in
                if path == "gateway.yaml" { return Array(bytes.prefix(maximum)) }
                guard let text = files[path] else { throw FileFailure("does not exist") }
                return Array(text.utf8.prefix(maximum))
            },
            isReadableByOthers: { _ in isReadableByOthers },
            now: { 1_800_000_000 }
        )
    }

    static func read(
        _ text: String,
        files: [String: String] = [:],
        environment: [String: String] = [:]
    ) -> ConfigurationReading {
        GatewayFile.read("gateway.yaml", self.surroundings(text, files: files, environment: environment))
    }

    static func findings(_ text: String, files: [String: String] = [:], environment: [String: String] = [:]) -> [String]
    {
        self.read(text, files: files, environment: environment).findings.map(\.description)
    }

    /// A gateway with nothing to say against it, to which a case adds lines.
    static func minimal(_ more: String = "", listener: String = "", service: String = "") -> String {
        """
        version: 1
        listeners:
          a:
            listen: 127.0.0.1:0
        \(listener)services:
          s:
            path: /s
            type: echo
        \(service)\(more)
        """
    }
}
