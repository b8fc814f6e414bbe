// All that a command has of the process that it runs in, as arguments: a test gives others.

import ArgumentParser

struct Surroundings: Sendable {
    /// Everything that is written.
    let console: Console
    /// The way to end.
    let shutdown: Shutdown
    /// The mode of the terminal at standard input.
    let terminal: TerminalMode
    /// The person at the terminal.
    let person: Person
    /// The variables of the environment.
    let environment: [String: String]
}

/// A command of khp: it is given its surroundings instead of reaching for them.
protocol SurroundedCommand: AsyncParsableCommand {
    /// The renderers of what it reports.
    func renderers(_ console: Console, _ environment: [String: String]) -> [any Renderer]
    /// The way of lines for which there is no room.
    var whenFull: Console.WhenFull { get }

    /// Looks at what is left of the words that were typed, once each option in them is known to be one.
    func checkRest() throws

    func run(in surroundings: Surroundings) async throws
}

extension SurroundedCommand {
    var whenFull: Console.WhenFull { .wait }

    func checkRest() {}

    func renderers(_ console: Console, _ environment: [String: String]) -> [any Renderer] {
        ReportingOptions.renderers(json: false, console, environment)
    }
}
