import KHPProtocol

/// An extension as it is typed: `name; param=value`. One that khp knows is applied; any other is named and does
/// nothing.
enum ExtensionArgument {
    /// The extensions of `--extension`, in their order, and that of `--compress`.
    static func extensions(
        _ texts: [String],
        compress: Bool,
        role: Role,
        console: Console
    ) throws(CommandFailure) -> [any WebSocketExtension] {
        var extensions: [any WebSocketExtension] = []
        for text in texts { extensions.append(try parse(text, role: role, console)) }
        // Whoever names its parameters has asked for it already.
        if compress, !extensions.contains(where: { $0.name == "permessage-deflate" }) {
            extensions.append(PerMessageDeflate())
        }
        return extensions
    }

    private static func parse(_ text: String, role: Role, _ console: Console) throws(CommandFailure)
        -> any WebSocketExtension
    {
        guard let offer = try? ExtensionOffer(text) else {
            throw .usage(
                "--extension: cannot parse `\(TerminalText.escaped(text))`; expected NAME or 'NAME; PARAM=VALUE'"
            )
        }
        // Its promise is the timeout: without one every offer would be declined.
        if role == .server, offer.name == "x-kaazing-idle-timeout", offer.parameters.isEmpty {
            throw .usage("--extension 'x-kaazing-idle-timeout; timeout=MILLISECONDS' says what the server promises")
        }
        do throws(WebSocketError) {
            if let known = try BuiltInExtensions.make(
                offer,
                role: role,
                revalidate: { Self.reportRevalidation($0, console) }
            ) {
                return known
            }
        } catch {
            throw .usage("--extension: " + TerminalText.escaped(error.message))
        }
        return NamedExtension(offer.name, parameters: offer.parameters)
    }

    /// Reports a request of x-kaazing-http-revalidate: the person who runs khp decides about it.
    private static func reportRevalidation(_ request: KaazingHTTPRevalidate.Request, _ console: Console) {
        let scheme = request.socket.isSecure ? "https" : "http"
        let url = TerminalText.escaped(Redaction.redacted("\(scheme)://\(request.socket.authority)\(request.path)"))
        console.report(.note("khp: the server asks to re-validate the session at \(url)"))
    }
}
