import ArgumentParser
import Foundation
import KHPGateway

/// `khp gateway`: brokers behind one configuration file.
struct GatewayCommand: SurroundedCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway",
        abstract: "A gateway in front of brokers.",
        discussion: """
            The file says where clients connect, how they prove who they are, and to which brokers they come. The log \
            is on standard error. SIGHUP reads the file anew and leaves sessions alone; SIGTERM and SIGINT drain. \
            --check tells every mistake at once, each with its line and column.

            EXAMPLES
              khp gateway --config gateway.yaml
              khp gateway --example > gateway.yaml
              khp gateway --config gateway.yaml --check
              khp gateway --config gateway.yaml --check=connect
              khp gateway --config gateway.yaml --print-config

            \(Ending.help(for: .gateway))
            """,
        subcommands: [GatewayControlCommand.self]
    )

    @Option(help: ArgumentHelp("The configuration, in YAML.", valueName: "file"))
    var config: String?

    /// How much is checked.
    enum CheckDepth: ExpressibleByArgument, Equatable {
        /// The configuration and the files that it names.
        case files
        /// Each backend is dialled as well.
        case connect
        /// A word that is none of these. ArgumentParser would take the option for one without a value.
        case unknown(String)

        init(argument: String) {
            switch argument {
            case "files": self = .files
            case "connect": self = .connect
            default: self = .unknown(argument)
            }
        }

        static let allValueStrings = ["files", "connect"]

        var defaultValueDescription: String { "files" }
    }

    @Option(
        defaultAsFlag: .files,
        parsing: .next,
        help: ArgumentHelp(
            "Read the configuration and the files that it names, and say what is wrong; connect dials each backend, too.",
            valueName: "files|connect"
        )
    )
    var check: CheckDepth?

    @Flag(name: .customLong("print-config"), help: "Print the configuration in force: with defaults, without secrets.")
    var printConfig = false

    @Flag(help: "Print a configuration to begin with.")
    var example = false

    @Flag(help: "Take warnings for errors.")
    var strict = false

    @Flag(help: "Write one JSON object for each listener to standard output, once all of them listen.")
    var json = false

    func validate() throws {
        let modes = [self.check != nil, self.printConfig, self.example].count { $0 }
        guard modes < 2 else { throw ValidationError("say one of --check, --print-config and --example") }
        if self.example, self.config != nil { throw ValidationError("--example reads no --config") }
        if case .unknown(let word) = self.check { throw Self.unknownDepth(word) }
        if self.check != nil || self.printConfig, self.config == nil { throw ValidationError(Self.noConfiguration) }
        if self.config == "" { throw ValidationError(Self.noConfiguration) }
        if self.strict, self.example { throw ValidationError("--strict is for configurations that are read") }
    }

    static func unknownDepth(_ word: String) -> ValidationError {
        ValidationError("--check takes files or connect, and not `\(TerminalText.escaped(word))`")
    }

    private static let noConfiguration = "--config FILE names the configuration"

    /// A log that nobody reads does not stop the gateway.
    var whenFull: Console.WhenFull { self.check != nil || self.printConfig || self.example ? .wait : .drop }

    func renderers(_ console: Console, _ environment: [String: String]) -> [any Renderer] {
        ReportingOptions.renderers(json: self.json, console, environment)
    }

    func run(in surroundings: Surroundings) async throws {
        let console = surroundings.console
        if self.example {
            console.report(.result(GatewayConfiguration.example.trimmingLastNewline))
            return
        }
        // Not when the options are validated: those of `ctl` need no file.
        guard let file = self.config else { throw CommandFailure(.usage, code: "usage", Self.noConfiguration) }
        let (loaded, warnings) = try await self.read(file, surroundings)
        let configuration = loaded.configuration
        if self.check != nil {
            console.report(.result("\(file): \(configuration.summary): good"))
            console.report(.result("\(file): \(configuration.memorySummary)"))
            for note in configuration.notes { console.report(.result("\(file): \(note)")) }
            return
        }
        if self.printConfig { return console.report(.result(loaded.effectiveText.trimmingLastNewline)) }
        let environment = surroundings.environment
        let strict = self.strict
        let running = GatewayRunning(file: file, surroundings: surroundings) {
            let reading = GatewayFile.read(file, .system(environment: environment))
            let findings = strict ? reading.findings : reading.errors
            guard let loaded = reading.loaded, findings.isEmpty else {
                return .bad(findings.map(\.description))
            }
            var materials = GatewayMaterials(loaded)
            materials.warnings = reading.warnings.map(\.description)
            return .good(materials)
        }
        var materials = GatewayMaterials(loaded)
        materials.warnings = warnings
        try await running.run(materials)
    }

    /// Tells every finding on standard error; but a gateway that starts has its warnings in the log, whose format counts there.
    /// - Returns: the configuration, and its warnings.
    private func read(
        _ file: String,
        _ surroundings: Surroundings
    ) async throws -> (loaded: LoadedConfiguration, warnings: [String]) {
        var reading = GatewayFile.read(file, .system(environment: surroundings.environment))
        if self.check == .connect { reading.findings += await ConnectCheck.run(reading) }
        let isGood = reading.loaded != nil && reading.errors.isEmpty && (!self.strict || reading.warnings.isEmpty)
        let isLogged = isGood && self.check == nil && !self.printConfig
        for finding in isLogged ? [] : reading.findings {
            surroundings.console.report(.note(TerminalText.escaped(finding.description)))
        }
        let counts = [(reading.errors.count, "error"), (reading.warnings.count, "warning")].filter { $0.0 > 0 }
        guard let loaded = reading.loaded, isGood else {
            let words = counts.map { "\($0.0) \($0.1)\($0.0 == 1 ? "" : "s")" }.joined(separator: " and ")
            throw CommandFailure(.usage, code: "invalid-configuration", "\(TerminalText.escaped(file)) has \(words)")
        }
        return (loaded, reading.warnings.map(\.description))
    }
}

extension String {
    /// The console ends each line itself.
    fileprivate var trimmingLastNewline: String { self.hasSuffix("\n") ? String(self.dropLast()) : self }
}
