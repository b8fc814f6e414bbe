public import ArgumentParser
import Foundation
import HTTPTypes
public import KHPClient
import NIOCore
import NIOSSL

extension ExtendedHandshakePolicy: @retroactive ExpressibleByArgument {}
extension RedirectPolicy: @retroactive ExpressibleByArgument {}

/// The options on messages to send, and on when to stop.
struct MessageOptions: ParsableArguments {
    @Option(
        name: .customLong("message"),
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Send this text instead of standard input; repeatable.", valueName: "text"),
        transform: { OutgoingArgument(.text($0)) }
    )
    var texts: [OutgoingArgument] = []

    @Option(
        name: .customLong("binary"),
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Send the content of this file as a binary message; repeatable.", valueName: "file"),
        transform: { OutgoingArgument(.file($0)) }
    )
    var files: [OutgoingArgument] = []

    @Option(
        help: ArgumentHelp("Close with 1000 after this many messages were received.", valueName: "n"),
        transform: PositiveCount.init(argument:)
    )
    var count: PositiveCount?

    @Flag(help: "After the end of input stay and receive until the peer closes.")
    var listen = false

    /// All of them in the order in which they were given.
    var inOrder: [OutgoingArgument] { (self.texts + self.files).sorted { $0.readAt < $1.readAt } }
}

/// The options of both handshakes.
struct HandshakeOptions: ParsableArguments {
    @Option(
        name: .customLong("require-extension"),
        help: ArgumentHelp(
            "Fail, and close with 1010, unless this extension is agreed on; repeatable.",
            valueName: "name"
        )
    )
    var requiredExtensions: [String] = []

    @Option(help: "The extended handshake: preferred, required or off.")
    var extended: ExtendedHandshakePolicy = .preferred

    @Flag(help: "Ask a Kaazing gateway with .kl=Y and speak as Kaazing's own clients do: balancer messages and all.")
    var kaazingLegacy = false

    @Option(help: ArgumentHelp("The method of the extended request.", valueName: "method"))
    var extendedMethod = "GET"

    @Option(
        help: ArgumentHelp(
            "The entity of the extended request, held back until the server answers 100.",
            valueName: "file"
        )
    )
    var extendedBody: String?

    @Option(
        name: [.customShort("H"), .customLong("header")],
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("A further field of the opening request; repeatable.", valueName: "'name: value'")
    )
    var headers: [FieldArgument] = []

    @Option(
        name: .customLong("extended-header"),
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("A further field of the extended request; repeatable.", valueName: "'name: value'")
    )
    var extendedHeaders: [FieldArgument] = []

    @Option(help: ArgumentHelp("The Origin field.", valueName: "url"))
    var origin: String?

    func apply(
        to configuration: inout WebSocketClient.Configuration,
        _ negotiation: NegotiationOptions,
        console: Console
    ) throws {
        guard negotiation.extensionsAt != .extended || self.extended != .off else {
            throw CommandFailure.usage("--extensions-at extended asks nowhere where --extended is off")
        }
        configuration.extensions = try negotiation.make(.client, console: console)
        for name in self.requiredExtensions where !configuration.extensions.contains(where: { $0.name == name }) {
            throw CommandFailure.usage(
                "--require-extension \(TerminalText.escaped(name)) needs an --extension of that name, or --compress"
            )
        }
        configuration.requiredExtensions = Set(self.requiredExtensions)
        configuration.extended.policy = self.extended
        guard !self.kaazingLegacy || self.extended != .off else {
            throw CommandFailure.usage(
                "--kaazing-legacy is a form of the extended handshake; --extended off leaves none"
            )
        }
        configuration.extended.kaazingLegacy = self.kaazingLegacy
        configuration.extended.method = self.extendedMethod
        configuration.extended.body = try self.extendedBody.map {
            ByteBuffer(bytes: try FileArgument.bytes($0, option: "--extended-body"))
        }
        configuration.headers = try Self.fields(self.headers)
        configuration.extended.headers = try Self.fields(self.extendedHeaders)
        if let origin, origin != "null", (try? OriginPolicy.allowing([origin])) == nil {
            throw CommandFailure.usage("--origin needs an origin such as https://example.com")
        }
        configuration.origin = self.origin
    }

    private static func fields(_ arguments: [FieldArgument]) throws -> HTTPFields {
        var fields = HTTPFields()
        for argument in arguments {
            guard let name = HTTPField.Name(argument.name) else {
                throw CommandFailure.usage("`\(TerminalText.escaped(argument.name))` is no field name")
            }
            guard HTTPField.isValidValue(argument.value) else {
                throw CommandFailure.usage("the value of the field \(name) holds a control character")
            }
            fields.append(HTTPField(name: name, value: argument.value))
        }
        return fields
    }
}

/// The options on credentials.
struct CredentialOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Credentials for challenges of the URL's origin, as in ws://NAME:PASSWORD@HOST. Without a password: that of "
                + "--netrc, else KHP_PASSWORD, else a prompt.",
            valueName: "name[:password]"
        )
    )
    var user: LoginArgument?

    @Option(
        help: ArgumentHelp("A token for Bearer and Token challenges of the URL's origin.", valueName: "token")
    )
    var token: String?

    @Option(help: ArgumentHelp("Credentials by host, in the format of ~/.netrc.", valueName: "file"))
    var netrc: String?
}

/// Where to go on, and for how long.
struct RouteOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("How many redirects to follow. (default: 5)", valueName: "n"),
        transform: { try Number.read($0, in: 0...Int.max) }
    )
    var maxRedirects = 5

    @Option(help: ArgumentHelp("Which targets to follow, compared with the URL given.", valueName: "policy"))
    var redirectPolicy: RedirectPolicy = .always

    @Flag(name: .customLong("follow-308"), help: "Follow 308 as RFC 9110 has it; the specification closes on it.")
    var follow308 = false

    @Flag(help: "Follow a redirect from wss to ws.")
    var allowDowngrade = false

    @Option(
        help: ArgumentHelp("Seconds for the whole connect, and for --count. (default: 30)", valueName: "seconds"),
        transform: PositiveSeconds.init(argument:)
    )
    var timeout = PositiveSeconds.thirty

    @Option(
        help: ArgumentHelp("Longest wait after a 202, in seconds. (default: 30)", valueName: "seconds"),
        transform: Seconds.init(argument:)
    )
    var wait = Seconds(30)

    func apply(to configuration: inout WebSocketClient.Configuration) {
        configuration.redirects.policy = self.redirectPolicy
        configuration.redirects.limit = self.maxRedirects
        configuration.redirects.follows308 = self.follow308
        configuration.redirects.allowsLeavingTLS = self.allowDowngrade
        configuration.timeouts.total = self.timeout.duration
        // The whole connect is the bound that was asked for: no stage ends earlier than that.
        configuration.timeouts.connect = self.timeout.duration
        configuration.timeouts.opening = self.timeout.duration
        configuration.timeouts.extended = self.timeout.duration
        configuration.timeouts.processing = self.wait.duration
    }
}

/// TLS.
struct TLSOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Trust the authorities of this PEM file and no others.", valueName: "file"))
    var cacert: String?

    @Flag(help: "Verify neither the server's certificate nor its name.")
    var insecure = false

    @Option(help: ArgumentHelp("The client certificate, PEM.", valueName: "file"))
    var cert: String?

    @Option(help: ArgumentHelp("The client certificate's key, PEM.", valueName: "file"))
    var key: String?

    /// - Parameter isNeeded: whether TLS is certain to be spoken.
    func configuration(isNeeded: Bool) throws -> TLSConfiguration {
        var tls = TLSConfiguration.makeClientConfiguration()
        if let cacert {
            tls.trustRoots = .certificates(try PEM.certificates(cacert, option: "--cacert"))
        } else if !self.insecure, let roots = EnvironmentRoots(ProcessInfo.processInfo.environment) {
            tls.trustRoots = try roots.roots(isNeeded: isNeeded)
        }
        if self.insecure { tls.certificateVerification = .none }
        guard (self.cert == nil) == (self.key == nil) else {
            throw CommandFailure.usage("--cert and --key belong together; one of them is missing")
        }
        if let cert, let key {
            tls.certificateChain = try PEM.certificates(cert, option: "--cert").map { .certificate($0) }
            tls.privateKey = .privateKey(try PEM.key(key, option: "--key"))
            try PEM.checkPair(tls, "--cert", "--key")
        }
        return tls
    }
}

/// Reads certificates and keys that options name.
enum PEM {
    static func certificates(_ path: String, option: String) throws(CommandFailure) -> [NIOSSLCertificate] {
        let bytes = try FileArgument.bytes(path, option: option)
        guard let certificates = try? NIOSSLCertificate.fromPEMBytes(bytes), !certificates.isEmpty else {
            throw .usage("the file `\(path)` of \(option) holds no PEM certificate")
        }
        return certificates
    }

    /// Checks that a certificate and a key belong together.
    static func checkPair(_ tls: TLSConfiguration, _ certificate: String, _ key: String) throws(CommandFailure) {
        guard (try? NIOSSLContext(configuration: tls)) != nil else {
            throw .usage("the key of \(key) does not belong to the certificate of \(certificate)")
        }
    }

    static func key(_ path: String, option: String) throws(CommandFailure) -> NIOSSLPrivateKey {
        let bytes = try FileArgument.bytes(path, option: option)
        guard let key = try? NIOSSLPrivateKey(bytes: bytes, format: .pem) else {
            throw .usage("the file `\(path)` of \(option) holds no PEM private key without a password")
        }
        return key
    }
}
