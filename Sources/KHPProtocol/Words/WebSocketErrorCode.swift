// The codes of `WebSocketError`: one for each kind of failure, as programs and scripts tell them apart.

extension WebSocketError {
    /// A kind of failure. A struct and not an enum, so that a later version can add some.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        /// The name in kebab case, as the command's JSON shows it.
        public let description: String

        private init(_ name: String) {
            self.description = name
        }

        /// The code of that name, if there is one.
        public init?(name: String) {
            guard let code = Self.all.first(where: { $0.description == name }) else { return nil }
            self = code
        }

        /// An argument that cannot be used, such as a header value with a line break.
        public static let invalidArgument = Code("invalid-argument")
        /// A URL that cannot be used.
        public static let invalidURL = Code("invalid-url")
        /// No connection: the name, the address, the network or the proxy.
        public static let connectFailed = Code("connect-failed")
        /// The TLS handshake failed, the certificate among the reasons.
        public static let tlsFailed = Code("tls-failed")
        /// Something did not happen in time.
        public static let timeout = Code("timeout")
        /// The server answered the opening handshake with a status other than 101.
        public static let openingRefused = Code("opening-refused")
        /// The answer to the opening handshake is not valid.
        public static let openingInvalid = Code("opening-invalid")
        /// The server declined the extended handshake that the configuration requires.
        public static let extendedRequired = Code("extended-required")
        /// The server did not agree on an extension that the configuration requires.
        public static let extensionRequired = Code("extension-required")
        /// An extension at this end threw an error of its own over a message.
        public static let extensionFailed = Code("extension-failed")
        /// The extended handshake was answered with a status that refuses.
        public static let extendedRefused = Code("extended-refused")
        /// The extended handshake's response is malformed, does not fit the request, or came with something else.
        public static let extendedInvalid = Code("extended-invalid")
        /// The connection ended during a handshake.
        public static let closedDuringHandshake = Code("closed-during-handshake")
        /// A redirect that is not followed: policy, no usable target, blocked port, downgrade.
        public static let redirectRefused = Code("redirect-refused")
        /// More redirects than the limit.
        public static let tooManyRedirects = Code("too-many-redirects")
        /// A redirect to where this attempt has been before.
        public static let redirectLoop = Code("redirect-loop")
        /// A 307 to a request whose method was not GET.
        public static let redirectMethod = Code("redirect-method")
        /// No credentials for a challenge, or they were refused.
        public static let authenticationFailed = Code("authentication-failed")
        /// The proxy wants credentials, and none that it accepts are known.
        public static let proxyAuthenticationRequired = Code("proxy-authentication-required")
        /// The proxy does not open a tunnel to the server. An HTTP proxy's answer is the error's response.
        public static let proxyRefused = Code("proxy-refused")
        /// The proxy's answer is not valid.
        public static let proxyInvalid = Code("proxy-invalid")
        /// The peer broke the WebSocket protocol.
        public static let protocolViolation = Code("protocol-violation")
        /// A message is larger than the limit.
        public static let messageTooBig = Code("message-too-big")
        /// Another limit was reached.
        public static let limitExceeded = Code("limit-exceeded")
        /// The WebSocket was used after it had closed.
        public static let closed = Code("closed")
        /// The task was cancelled.
        public static let cancelled = Code("cancelled")
        /// The server shuts down.
        public static let serverShuttingDown = Code("server-shutting-down")

        /// Every code there is.
        public static let all: [Code] = [
            .invalidArgument, .invalidURL, .connectFailed, .tlsFailed, .timeout, .openingRefused, .openingInvalid,
            .extendedRequired, .extensionRequired, .extensionFailed, .extendedRefused, .extendedInvalid,
            .closedDuringHandshake,
            .redirectRefused, .tooManyRedirects, .redirectLoop, .redirectMethod, .authenticationFailed,
            .proxyAuthenticationRequired,
            .proxyRefused, .proxyInvalid, .protocolViolation, .messageTooBig, .limitExceeded, .closed, .cancelled,
            .serverShuttingDown,
        ]
    }
}
