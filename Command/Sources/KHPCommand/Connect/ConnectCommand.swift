import ArgumentParser
import Foundation
import KHPClient
import KHPTesting

/// `khp connect`: a WebSocket between the terminal, a pipe or a script, and a server.
struct ConnectCommand: SurroundedCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect",
        abstract: "Send lines as messages and print the messages that come back.",
        discussion: """
            Sends each line of standard input as a text message and prints each message received, one per line, until \
            the end of input or until the peer closes. On a terminal it is interactive: /help lists what can be typed.
            `khp URL` is the same.

            EXAMPLES
              echo hello | khp connect ws://127.0.0.1:8080/echo
              khp connect --message subscribe --listen wss://example.com/trades | head
              khp connect --message hello --count 1 --json wss://example.com/trades
              khp connect --user joe --extended required -v ws://127.0.0.1:8080/desk
              khp connect --kaazing-legacy -v wss://gateway.example.com/trades
              khp connect --proxy http://proxy:3128 --proxy-user joe wss://example.com
              khp connect --pcap trades.pcap --message hello wss://example.com/trades
              khp connect --save-ladder trades.svg --count 1 wss://example.com/trades

            \(Ending.help(for: .connect))
            """
    )

    @Argument(help: "ws:, wss:, http: or https:; NAME:PASSWORD@ before the host counts as --user.")
    var url: String

    @OptionGroup(title: "MESSAGES") var messages: MessageOptions
    @OptionGroup var reaching: ReachingOptions
    @OptionGroup(title: "OUTPUT") var reporting: ReportingOptions
    @OptionGroup(title: "FILES") var files: FileOptions

    @Flag(help: "Connect again when the connection is lost, after pauses that grow to 30 s.")
    var reconnect = false

    @OptionGroup(visibility: .hidden) var stray: StrayArguments

    func checkRest() throws { try self.stray.refuse(at: .connect) }

    func validate() throws {
        guard self.files.pcap != nil else { return }
        if self.reaching.target.unixSocket != nil {
            throw ValidationError("--pcap records TCP, which --unix-socket does not use")
        }
        if self.reaching.target.connectTo?.hasPrefix("vsock:") == true {
            throw ValidationError("--pcap records TCP, which --connect-to vsock: does not use")
        }
    }

    func renderers(_ console: Console, _ environment: [String: String]) -> [any Renderer] {
        self.reporting.renderers(console, environment)
    }

    func run(in surroundings: Surroundings) async throws {
        let console = surroundings.console
        let typed = try self.reaching.typedURL(self.url, console)
        let given = self.messages.inOrder
        let isInteractive =
            given.isEmpty && surroundings.terminal.isThere && (console.terminals.output || console.terminals.errors)
        let source: OutgoingSource =
            given.isEmpty
            ? .lines(InputQueue(), isInteractive: isInteractive)
            : .list(OutgoingSource.Pending(try given.map { try $0.message() }))
        let session = ConnectSession(
            url: typed.url,
            subprotocols: self.reaching.negotiation.subprotocols,
            sockets: ClientSockets(client: WebSocketClient(configuration: try self.configuration(typed, surroundings))),
            source: source,
            count: self.messages.count?.value,
            listens: self.messages.listen,
            timeout: self.reaching.route.timeout.duration,
            reconnects: self.reconnect,
            watcher: Watcher(console: console, json: self.reporting.json, isInteractive: isInteractive),
            surroundings: surroundings,
            time: .real
        )
        try await session.run()
    }

    /// Shows and records what was asked for.
    private func observe(
        _ configuration: inout WebSocketClient.Configuration,
        _ url: String,
        _ surroundings: Surroundings
    ) throws {
        let console = surroundings.console
        let transcript = try self.files.saveTranscript.map { path throws(CommandFailure) in
            try TranscriptWriter(path: path, head: self.transcriptHead(url), console: console)
        }
        if let transcript { surroundings.shutdown.register { _ in transcript.finish() } }
        let ladder = try self.files.saveLadder.map { path throws(CommandFailure) in
            let title = "khp connect \(Redaction.redacted(url))"
            return try SavedLadder(path: path, title: title, console: console)
        }
        if let ladder { surroundings.shutdown.register { _ in ladder.finish() } }
        if let path = self.files.pcap {
            let capture = try Capture(path: path, console: console)
            surroundings.shutdown.register { _ in capture.finish() }
            configuration.makeTap = { capture.tap($0) }
        }
        let shows = self.reporting.showsConnections
        let tellsRetries = self.reconnect
        guard shows || transcript != nil || ladder != nil || tellsRetries else { return }
        let offered = configuration.extensions.map(\.name)
        configuration.observe = { event, info in
            if case .reconnecting(_, let delay, let cause) = event { Self.tellRetry(after: delay, cause, console) }
            if shows { console.report(.connection(event, info)) }
            if case .open(let negotiation) = event { Self.remark(on: negotiation, offered, console) }
            transcript?.observe(event)
            ladder?.observe(event)
        }
    }

    /// Tells that the command connects again, and why.
    private static func tellRetry(after delay: Duration, _ cause: WebSocketError, _ console: Console) {
        let seconds = Ladder.fixed(delay.seconds, digits: 1)
        console.report(.note("khp: \(CommandFailure(cause).sentence) (connecting again in \(seconds) s)"))
    }

    /// An extension that was asked for and not agreed on shall not go unnoticed.
    private static func remark(on negotiation: HandshakeSummary, _ offered: [String], _ console: Console) {
        let missing = offered.filter { name in !negotiation.extensions.contains { $0.name == name } }
        guard !missing.isEmpty else { return }
        console.report(.remark("asked for, not agreed on: " + missing.joined(separator: ", ")))
    }

    private func transcriptHead(_ url: String) -> TranscriptRecorder.Head {
        var head = TranscriptRecorder.Head(url: url)
        let reaching = self.reaching
        head.dialect = reaching.dialect.dialect
        head.origin = reaching.handshake.origin
        head.subprotocols = reaching.negotiation.subprotocols
        head.extensions = reaching.negotiation.extensions.map(\.text)
        head.extendedHandshake = reaching.handshake.extended
        head.kaazingLegacy = reaching.handshake.kaazingLegacy
        head.extendedMethod = reaching.handshake.extendedMethod
        head.redirectPolicy = reaching.route.redirectPolicy
        head.followsPermanentRedirects = reaching.route.follow308
        return head
    }

    private func configuration(_ typed: TypedURL, _ surroundings: Surroundings) throws
        -> WebSocketClient.Configuration
    {
        var configuration = try self.reaching.configuration(for: typed, in: surroundings)
        try self.observe(&configuration, typed.url, surroundings)
        return configuration
    }
}
