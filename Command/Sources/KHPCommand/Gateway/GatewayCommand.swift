import ArgumentParser
import Foundation
import KHPGateway

/// `khp gateway`: brokers behind one configuration file.
struct GatewayCommand: SurroundedCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway",
        abstract: "Check the configuration of a gateway in front of brokers.",
        discussion: """
            The file says where clients connect, how they prove who they are, and to which brokers they come. --check \
            tells every mistake at once, each with its line and column.

            EXAMPLES
              khp gateway --example > gateway.yaml
              khp gateway --config gateway.yaml --check
              khp gateway --config gateway.yaml --print-config

            \(Ending.help(for: .gateway))
            """
    )

    @Option(help: ArgumentHelp("The configuration, in YAML.", valueName: "file"))
    var config: String?

    @Flag(help: "Read the configuration and the files that it names, and say what is wrong.")
    var check = false

    @Flag(name: .customLong("print-config"), help: "Print the configuration in force: with defaults, without secrets.")
    var printConfig = false

    @Flag(help: "Print a configuration to begin with.")
    var example = false

    @Flag(help: "Take warnings for errors.")
    var strict = false

    func validate() throws {
        let modes = [self.check, self.printConfig, self.example].count { $0 }
        guard modes == 1 else { throw ValidationError("say one of --check, --print-config and --example") }
        if self.example, self.config != nil { throw ValidationError("--example reads no --config") }
        if !self.example, self.config == nil { throw ValidationError("--config FILE names the configuration") }
        if self.strict, self.example { throw ValidationError("--strict is for configurations that are read") }
    }

    func run(in surroundings: Surroundings) async throws {
        let console = surroundings.console
        guard let file = self.config else {
            console.report(.result(GatewayConfiguration.example.trimmingLastNewline))
            return
        }
        let configuration = try self.read(file, surroundings)
        console.report(
            .result(
                self.check ? "\(file): \(configuration.summary): good" : configuration.effectiveText.trimmingLastNewline
            )
        )
    }

    /// Tells every finding on standard error.
    private func read(_ file: String, _ surroundings: Surroundings) throws -> GatewayConfiguration {
        let reading = GatewayFile.read(file, .system(environment: surroundings.environment))
        for finding in reading.findings {
            surroundings.console.report(.note(TerminalText.escaped(finding.description)))
        }
        let counts = [(reading.errors.count, "error"), (reading.warnings.count, "warning")].filter { $0.0 > 0 }
        guard let configuration = reading.configuration, !self.strict || reading.warnings.isEmpty else {
            let words = counts.map { "\($0.0) \($0.1)\($0.0 == 1 ? "" : "s")" }.joined(separator: " and ")
            throw CommandFailure(.usage, code: "invalid-configuration", "\(TerminalText.escaped(file)) has \(words)")
        }
        return configuration
    }
}

extension String {
    /// The console ends each line itself.
    fileprivate var trimmingLastNewline: String { self.hasSuffix("\n") ? String(self.dropLast()) : self }
}
