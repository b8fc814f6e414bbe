import ArgumentParser
import Foundation
import KHPClient
import KHPTesting

/// `khp connect`: a WebSocket between the terminal, a pipe or a script, and a server.
struct ConnectCommand: AsyncParsableCommand {
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

            EXIT STATUS
              0 closed cleanly       1 closed otherwise     2 usage
              3 no connection, TLS   4 opening handshake    5 extended handshake
              6 redirect refused     7 timeout              8 authentication
              9 protocol violation  70 a fault of ours      74 output not writable
              130, 143 interrupted or terminated, at once by a second signal
            """
    )

    @Argument(help: "ws:, wss:, http: or https:; NAME:PASSWORD@ before the host counts as --user.")
    var url: String

    @OptionGroup(title: "MESSAGES") var messages: MessageOptions
    @OptionGroup(title: "HANDSHAKES") var handshake: HandshakeOptions
    @OptionGroup(title: "DIALECT") var dialect: DialectOptions
    @OptionGroup(title: "CREDENTIALS") var credentials: CredentialOptions
    @OptionGroup(title: "REDIRECTS AND TIME") var route: RouteOptions
    @OptionGroup(title: "TLS") var tls: TLSOptions
    @OptionGroup(title: "PROXY") var proxy: ProxyOptions
    @OptionGroup(title: "PLACE") var target: TargetOptions
    @OptionGroup(title: "OUTPUT") var outputs: OutputOptions

    @Option(help: ArgumentHelp("Largest message to take, in bytes.", valueName: "bytes"))
    var maxMessageSize = 1 << 20

    @Option(help: ArgumentHelp("Seconds of silence before a ping; 0 sends none.", valueName: "seconds"))
    var pingInterval = Seconds(20)

    func validate() throws {
        guard maxMessageSize > 0 else { throw ValidationError("`--max-message-size` needs a number from 1") }
        if target.unixSocket != nil, outputs.pcap != nil {
            throw ValidationError("`--pcap` records TCP, which `--unix-socket` does not use")
        }
    }

    func run() async throws {
        let typed = try TypedURL(url)
        if typed.login != nil {
            Output.shared.line(typed.note(isOverridden: credentials.user != nil), to: .standardError)
        }
        let given = messages.inOrder
        let isInteractive =
            given.isEmpty && isatty(0) == 1
            && (Output.shared.isTerminal(.standardOutput) || Output.shared.isTerminal(.standardError))
        let source: OutgoingSource =
            given.isEmpty
            ? .lines(InputQueue(), isInteractive: isInteractive)
            : .list(OutgoingSource.Pending(try given.map { try $0.message() }))
        let transcript = try outputs.saveTranscript.map { path throws(CommandFailure) in
            try TranscriptWriter(path: path, head: self.transcriptHead(typed.url))
        }
        let ladder = try outputs.saveLadder.map { path throws(CommandFailure) in
            try SavedLadder(path: path, title: "khp connect \(Redaction.redacted(typed.url))")
        }
        var configuration = try configuration(typed.login)
        if let path = outputs.pcap {
            let capture = try Capture(path: path)
            configuration.makeTap = { capture.tap($0) }
        }
        var reporting = outputs.reporting
        reporting.extensions = configuration.extensions.map(\.name)
        let reporter = Reporter(options: reporting)
        if reporter.isActive || transcript != nil || ladder != nil {
            configuration.observe = { event, info in
                reporter.observe(event, info)
                transcript?.observe(event)
                ladder?.observe(event)
            }
        }
        let session = ConnectSession(
            url: typed.url,
            subprotocols: handshake.subprotocols,
            client: WebSocketClient(configuration: configuration),
            source: source,
            count: messages.count,
            listens: messages.listen,
            timeout: route.timeout.duration,
            reconnects: route.reconnect,
            printer: MessagePrinter(json: outputs.json, output: .shared, isInteractive: isInteractive)
        )
        try await session.run()
    }

    private func transcriptHead(_ url: String) -> TranscriptRecorder.Head {
        var head = TranscriptRecorder.Head(url: url)
        head.dialect = self.dialect.dialect
        head.origin = self.handshake.origin
        head.subprotocols = self.handshake.subprotocols
        head.extensions = self.handshake.offers
        head.extendedHandshake = self.handshake.extended
        head.kaazingLegacy = self.handshake.kaazingLegacy
        head.extendedMethod = self.handshake.extendedMethod
        head.redirectPolicy = self.route.redirectPolicy
        head.followsPermanentRedirects = self.route.follow308
        return head
    }

    private func configuration(_ login: Login?) throws -> WebSocketClient.Configuration {
        var configuration = WebSocketClient.Configuration()
        try handshake.apply(to: &configuration)
        dialect.apply(to: &configuration)
        route.apply(to: &configuration)
        let isSecure = ["wss:", "https:"].contains { url.lowercased().hasPrefix($0) }
        configuration.tls = try tls.configuration(isNeeded: isSecure)
        try proxy.apply(to: &configuration)
        try target.apply(to: &configuration)
        configuration.limits.messages.messageBytes = maxMessageSize
        configuration.keepAlive.pingInterval = pingInterval.duration > .zero ? pingInterval.duration : nil
        configuration.challengeHandler = try CommandChallengeHandler(
            options: credentials,
            login: login,
            mayAsk: isatty(2) == 1 || isatty(1) == 1
        )
        return configuration
    }
}

/// What is shown, and how.
struct OutputOptions: ParsableArguments {
    @Flag(
        name: [.customShort("v"), .customLong("verbose")],
        help: "Show the steps of the connection on standard error."
    )
    var verbose = false

    @Flag(help: "Show every head and frame of every layer as well.")
    var trace = false

    @Flag(help: "Write one JSON object per line to standard output.")
    var json = false

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

    var reporting: Reporter.Options {
        Reporter.Options(json: json, verbose: verbose, trace: trace)
    }
}
