import ArgumentParser
import KHPProtocol

/// An extension as it is typed: `name; param=value`. One that khp knows is applied; any other is named and does
/// nothing.
struct ExtensionArgument: Sendable {
    /// The text as it was typed.
    let text: String
    let offer: ExtensionOffer

    /// The extension of `--compress`.
    static let compression = ExtensionArgument(offer: ExtensionOffer(name: "permessage-deflate"))

    init(argument: String) throws {
        guard let offer = try? ExtensionOffer(argument) else {
            throw ValidationError("an extension is NAME or 'NAME; PARAM=VALUE'")
        }
        self.text = argument
        self.offer = offer
    }

    private init(offer: ExtensionOffer) {
        self.text = offer.name
        self.offer = offer
    }

    /// The extension for one end.
    func make(_ role: Role, console: Console) throws(CommandFailure) -> any WebSocketExtension {
        // Its promise is the timeout: without one every offer would be declined.
        if role == .server, self.offer.name == "x-kaazing-idle-timeout", self.offer.parameters.isEmpty {
            throw .usage("--extension 'x-kaazing-idle-timeout; timeout=MILLISECONDS' says what the server promises")
        }
        do throws(WebSocketError) {
            if let known = try BuiltInExtensions.make(
                self.offer,
                role: role,
                revalidate: { Self.reportRevalidation($0, console) }
            ) {
                return known
            }
        } catch {
            throw .usage("--extension: " + TerminalText.escaped(error.message))
        }
        return NamedExtension(self.offer.name, parameters: self.offer.parameters)
    }

    /// Reports a request of x-kaazing-http-revalidate: the person who runs khp decides about it.
    private static func reportRevalidation(_ request: KaazingHTTPRevalidate.Request, _ console: Console) {
        let scheme = request.socket.isSecure ? "https" : "http"
        let url = TerminalText.escaped(Redaction.redacted("\(scheme)://\(request.socket.authority)\(request.path)"))
        console.report(.note("khp: the server asks to re-validate the session at \(url)"))
    }
}
