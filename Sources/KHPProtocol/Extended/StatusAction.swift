// The heart of the protocol: the client's action on the status code of an extended response (KHP-E9 and the table
// "Status codes: the client's action"). One switch; Specs/status-codes.json has the same as data, with the level of
// each action (D43), and tests compare the two.

/// A client's action on an extended response, decided by its status code.
public enum StatusAction: String, Sendable, Hashable, CaseIterable {
    /// The extended handshake is completed: the WebSocket opens.
    case complete
    /// Wait for another response, up to a maximum time.
    case wait
    /// Close, then open the URL in Location.
    case redirect
    /// Close, then open one of the offered choices.
    case choose
    /// Keep the WebSocket and replay the request with authorization.
    case challenge
    /// Send the request's body, which was held back.
    case sendBody = "send-body"
    /// Close: the code is not actionable, the extended handshake failed.
    case close
    /// Close, and perhaps open again with an upgraded protocol.
    case upgrade
    /// Close, and perhaps authenticate with the proxy.
    case proxyAuth = "proxy-auth"

    /// The action for a status code.
    ///
    /// - Parameters:
    ///   - status: the code of a response's status line.
    ///   - method: the extended request's method, which decides about redirects: 307 is followed after GET only, 300
    ///     after GET and HEAD, 301 and 302 also after POST, 303 after any.
    ///   - expectsContinue: `true` when the request carried `Expect: 100-continue` and its body is still held back.
    ///   - followsPermanentRedirect: `true` to take 308 for RFC 9110's Permanent Redirect. The specification knows it
    ///     as "Resume Incomplete", to be closed upon.
    public static func action(
        forStatus status: Int,
        method: String = "GET",
        expectsContinue: Bool = false,
        followsPermanentRedirect: Bool = false
    ) -> StatusAction {
        switch status {
        case 100: expectsContinue ? .sendBody : .close
        case 101, 201, 204, 205: .complete
        case 202: .wait
        case 300: RedirectMethod.isFollowed(status, after: method) ? .choose : .close
        case 301, 302, 303, 307: RedirectMethod.isFollowed(status, after: method) ? .redirect : .close
        case 308: followsPermanentRedirect && RedirectMethod.isFollowed(status, after: method) ? .redirect : .close
        case 401: .challenge
        case 407: .proxyAuth
        case 426: .upgrade
        default: .close
        }
    }

    /// Returns `true` when this status sends the client elsewhere, whatever the client does about it.
    static func namesAnotherPlace(_ status: Int) -> Bool {
        switch status {
        case 300, 301, 302, 303, 307, 308: true
        default: false
        }
    }

    /// The close code that goes with closing upon a status (D6): a proper refusal ends the connection normally,
    /// anything else is a response that cannot be acted on.
    package static func closeCode(forStatus status: Int) -> WebSocketCloseCode {
        300...599 ~= status ? .normalClosure : .internalError
    }
}
