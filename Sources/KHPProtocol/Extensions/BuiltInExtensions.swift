// The extensions of our own by their names, for what is configured in text: the command, transcripts.

/// The extensions that come with the library, by their names in Sec-WebSocket-Extensions: for an application whose
/// configuration is text.
public enum BuiltInExtensions {
    /// The extension that an element of Sec-WebSocket-Extensions stands for; `nil` for a name that is not ours.
    ///
    /// - Parameters:
    ///   - element: one extension with its parameters, as Sec-WebSocket-Extensions lists them.
    ///   - role: the end that negotiates the extension.
    ///   - revalidate: the request that a server asks for; without it x-kaazing-http-revalidate is unknown.
    /// - Throws: `invalidArgument` for parameters that the extension does not know.
    public static func make(
        _ element: ExtensionOffer,
        role: Role,
        revalidate: (@Sendable (KaazingHTTPRevalidate.Request) -> Void)? = nil
    ) throws(WebSocketError) -> (any WebSocketExtension)? {
        switch element.name {
        case "permessage-deflate": return try deflate(element, role)
        case "x-kaazing-idle-timeout":
            // A server's promise: `timeout=30000`.
            let timeout = element.parameters["timeout"].flatMap { Int64($0) }
            guard element.parameters.all.count == (timeout == nil ? 0 : 1), timeout.map({ $0 > 0 }) ?? true else {
                throw unusable(element, "it takes `timeout`, a number of milliseconds from 1, and nothing else")
            }
            return KaazingIdleTimeout(timeout: timeout.map { .milliseconds($0) })
        case "x-kaazing-ping-pong":
            guard element.parameters.isEmpty else { throw unusable(element, "it takes none") }
            return KaazingPingPong()
        case "x-kaazing-http-revalidate":
            guard let revalidate else { return nil }
            guard element.parameters.isEmpty else { throw unusable(element, "it takes none") }
            return KaazingHTTPRevalidate(revalidate)
        default: return nil
        }
    }

    private static func deflate(
        _ element: ExtensionOffer,
        _ role: Role
    ) throws(WebSocketError) -> PerMessageDeflate {
        guard let wanted = DeflateParameters(element.parameters, isOffer: true) else {
            throw unusable(
                element,
                "it takes `server_no_context_takeover`, `client_no_context_takeover`, and `server_max_window_bits` and "
                    + "`client_max_window_bits` from 8 to 15, each at most once"
            )
        }
        let isClient = role == .client
        let (own, peer) =
            isClient ? (wanted.clientWindow, wanted.serverWindow) : (wanted.serverWindow, wanted.clientWindow)
        var deflate = PerMessageDeflate()
        deflate.contextTakeover = !(isClient ? wanted.clientNoContextTakeover : wanted.serverNoContextTakeover)
        deflate.peerContextTakeover = !(isClient ? wanted.serverNoContextTakeover : wanted.clientNoContextTakeover)
        if own != .absent { deflate.windowBits = own.limit }
        deflate.peerWindowBits = peer.limit
        return deflate
    }

    private static func unusable(_ element: ExtensionOffer, _ reason: String) -> WebSocketError {
        WebSocketError(
            .invalidArgument,
            "The extension \(element.name) cannot have the parameters \(quoted(element.parameters.description)): \(reason)."
        )
    }
}
