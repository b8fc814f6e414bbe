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
    @OptionGroup(title: "HANDSHAKES") var handshake: HandshakeOptions
    @OptionGroup(title: "SUBPROTOCOLS AND EXTENSIONS") var negotiation: NegotiationOptions
    @OptionGroup(title: "DIALECT") var dialect: DialectOptions
    @OptionGroup(title: "CREDENTIALS") var credentials: CredentialOptions
    @OptionGroup(title: "REDIRECTS AND TIME") var route: RouteOptions
    @OptionGroup(title: "TLS") var tls: TLSOptions
    @OptionGroup(title: "PROXY") var proxy: ProxyOptions
    @OptionGroup(title: "PLACE") var target: TargetOptions
    @OptionGroup(title: "BOUNDS") var limits: LimitOptions
    @OptionGroup(title: "OUTPUT") var reporting: ReportingOptions
    @OptionGroup(title: "FILES") var files: FileOptions

    @Option(
        help: ArgumentHelp("Seconds of silence before a ping; 0 sends none. (default: 20)", valueName: "seconds"),
        transform: Seconds.init(argument:)
    )
    var pingInterval = Seconds(20)

    func validate() throws {
        if self.target.unixSocket != nil, self.files.pcap != nil {
            throw ValidationError("--pcap records TCP, which --unix-socket does not use")
        }
    }

    func renderers(_ console: Console, _ environment: [String: String]) -> [any Renderer] {
        self.reporting.renderers(console, environment)
    }

    func run(in surroundings: Surroundings) async throws {
        let console = surroundings.console
        let typed = try TypedURL(self.url)
        if typed.login != nil {
            console.report(.note(typed.note(isOverridden: self.credentials.user != nil)))
        }
        let given = self.messages.inOrder
        let isInteractive =
            given.isEmpty && isatty(0) == 1 && (console.terminals.output || console.terminals.errors)
        let source: OutgoingSource =
            given.isEmpty
            ? .lines(InputQueue(), isInteractive: isInteractive)
            : .list(OutgoingSource.Pending(try given.map { try $0.message() }))
        let session = ConnectSession(
            url: typed.url,
            subprotocols: self.negotiation.subprotocols,
            sockets: ClientSockets(client: WebSocketClient(configuration: try self.configuration(typed, surroundings))),
            source: source,
            count: self.messages.count?.value,
            listens: self.messages.listen,
            timeout: self.route.timeout.duration,
            reconnects: self.route.reconnect,
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
            try TranscriptWriter(path: path, head: self.transcriptHead(url))
        }
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
        let tellsRetries = self.route.reconnect
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
        head.dialect = self.dialect.dialect
        head.origin = self.handshake.origin
        head.subprotocols = self.negotiation.subprotocols
        head.extensions = self.negotiation.extensions.map(\.text)
        head.extendedHandshake = self.handshake.extended
        head.kaazingLegacy = self.handshake.kaazingLegacy
        head.extendedMethod = self.handshake.extendedMethod
        head.redirectPolicy = self.route.redirectPolicy
        head.followsPermanentRedirects = self.route.follow308
        return head
    }

    private func configuration(_ typed: TypedURL, _ surroundings: Surroundings) throws
        -> WebSocketClient.Configuration
    {
        var configuration = WebSocketClient.Configuration()
        configuration.logger = WarningLog.logger(surroundings.console)
        try self.handshake.apply(to: &configuration, self.negotiation, console: surroundings.console)
        self.dialect.apply(to: &configuration)
        self.route.apply(to: &configuration)
        let isSecure = ["wss:", "https:"].contains { self.url.lowercased().hasPrefix($0) }
        configuration.tls = try self.tls.configuration(isNeeded: isSecure)
        try self.proxy.apply(to: &configuration, in: surroundings)
        try self.target.apply(to: &configuration)
        configuration.limits.messages.messageBytes = self.limits.maxMessageSize.value
        configuration.keepAlive.pingInterval =
            self.pingInterval.duration > .zero ? self.pingInterval.duration : nil
        configuration.authentication.challengeHandler = try CommandChallengeHandler(
            options: self.credentials,
            login: typed.login,
            in: surroundings
        )
        try self.observe(&configuration, typed.url, surroundings)
        return configuration
    }
}

/// The files that a conversation is saved to.
struct FileOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Save the conversation in the format of Specs/transcripts, credentials hidden.",
            valueName: "file"
        )
    )
    var saveTranscript: String?

    @Option(
        help: ArgumentHelp(
            "Draw the conversation as a sequence diagram, credentials hidden: SVG or HTML, by the name's end.",
            valueName: "file"
        )
    )
    var saveLadder: String?

    @Option(
        help: ArgumentHelp(
            "Record the bytes above TLS of every connection, for Wireshark and tcpdump. Credentials and messages stand "
                + "there in clear: the file is readable by its owner alone.",
            valueName: "file"
        )
    )
    var pcap: String?
}
