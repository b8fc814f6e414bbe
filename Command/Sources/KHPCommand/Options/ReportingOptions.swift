// Options for the form and detail of the output: the same in every command that has connections.

import ArgumentParser

struct ReportingOptions: ParsableArguments {
    @Flag(
        name: [.customShort("v"), .customLong("verbose")],
        help: "Show the steps of each connection on standard error."
    )
    var verbose = false

    @Flag(help: "Show every head and frame of every layer as well.")
    var trace = false

    @Flag(help: "Write one JSON object per line to standard output.")
    var json = false

    /// True where events of connections are shown.
    var showsConnections: Bool { self.json || self.verbose || self.trace }

    /// The renderers that these options ask for.
    /// - Parameter isShared: true where connections of a client share the output, as a server's do.
    func renderers(_ console: Console, _ environment: [String: String], isShared: Bool = false) -> [any Renderer] {
        Self.renderers(
            json: self.json,
            ladder: self.verbose || self.trace,
            trace: self.trace,
            isShared: isShared,
            console,
            environment
        )
    }

    static func renderers(
        json: Bool,
        ladder: Bool = false,
        trace: Bool = false,
        isShared: Bool = false,
        _ console: Console,
        _ environment: [String: String]
    ) -> [any Renderer] {
        var renderers: [any Renderer] = json ? [JSONRenderer(isShared: isShared)] : []
        if ladder {
            let style = Style(isTerminal: console.terminals.errors, environment: environment)
            renderers.append(LadderRenderer(trace: trace, style: style, isShared: isShared))
        }
        renderers.append(
            PlainRenderer(
                showsMessages: !json,
                terminals: console.terminals,
                style: Style(isTerminal: console.terminals.output, environment: environment)
            )
        )
        return renderers
    }
}
