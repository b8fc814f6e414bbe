// A tunnel through a proxy of any kind: the common face of the three machines (R-P1).

package import NIOCore

/// The next step of a tunnel's machine.
package enum TunnelAction: Sendable {
    /// Nothing before more bytes come.
    case wait
    case send(ByteBuffer)
    /// A 407. Answer with ``Tunnel/answer(_:)`` where the connection stays open, otherwise through a fresh one.
    case challenge(HandshakeResponse, staysOpen: Bool)
    /// The tunnel stands. These bytes were behind the proxy's answer and are the first that came through it; the head
    /// is an HTTP proxy's.
    case established(ByteBuffer, head: ResponseHead? = nil)
    /// The proxy closed a connection that it had kept open, before it answered: the same once more through a fresh one.
    case retry
    case failed(WebSocketError)
}

/// The machine of one kind of proxy.
protocol TunnelMachine: Sendable {
    var awaitsContent: Bool { get }
    func start() -> TunnelAction
    mutating func receive(_ bytes: ByteBuffer) -> TunnelAction
    mutating func answer(_ authorization: String) -> TunnelAction?
    mutating func inputEnded() -> TunnelAction
    mutating func timeReached() -> TunnelAction
}

extension TunnelMachine {
    /// No content follows an answer of SOCKS.
    var awaitsContent: Bool { false }

    /// SOCKS asks no second time.
    mutating func answer(_ authorization: String) -> TunnelAction? { nil }
}

package struct Tunnel: Sendable {
    /// It is read in place, so that its buffers have one owner and no read copies them.
    private var machine: any TunnelMachine

    /// - Parameter authorization: the value of Proxy-Authorization, where it is known what the proxy takes.
    /// - Throws: `invalidArgument` for what cannot be asked of this proxy.
    package init(
        through proxy: Proxy,
        to url: WebSocketURL,
        authorization: String? = nil,
        limits: Limits = Limits()
    ) throws(WebSocketError) {
        self.machine =
            switch proxy.kind {
            case .http, .https:
                try ConnectTunnel(through: proxy, to: url, authorization: authorization, limits: limits)
            case .socks5: try Socks5Tunnel(through: proxy, to: url)
            case .socks4: try Socks4Tunnel(through: proxy, to: url)
            }
    }

    /// The target of a CONNECT to the server of `url`: host and port, always both. Digest signs it.
    package static func target(of url: WebSocketURL) -> String {
        "\(Host.bracketed(url.host)):\(url.port)"
    }

    /// The proxy is connected to.
    package func start() -> TunnelAction { self.machine.start() }

    package mutating func receive(_ bytes: ByteBuffer) -> TunnelAction { self.machine.receive(bytes) }

    /// The same request again on the same connection, with this value of Proxy-Authorization. Nil where the connection
    /// is of no use any more.
    package mutating func answer(_ authorization: String) -> TunnelAction? { self.machine.answer(authorization) }

    /// `true` while only the content of a proxy's refusal is missing. It is waited for no longer than
    /// ``Limits/Fixed/contentWait`` (D28); then call ``timeReached()``.
    package var awaitsContent: Bool { self.machine.awaitsContent }

    /// The proxy has ended its stream.
    package mutating func inputEnded() -> TunnelAction { self.machine.inputEnded() }

    /// Tells the machine that the time is over.
    package mutating func timeReached() -> TunnelAction { self.machine.timeReached() }
}

extension Tunnel: CustomReflectable {
    /// Shows neither user nor password, nor the bytes made of them.
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// The failures that all kinds of proxies share.
enum TunnelFailure {
    /// - Parameter isBeyondProxy: true where the network or the server is at fault, and not the proxy's rules or our
    ///   request.
    static func refused(_ message: String, isBeyondProxy: Bool = false) -> TunnelAction {
        .failed(
            WebSocketError(.proxyRefused, message, detail: isBeyondProxy ? .beyondProxy : nil, phase: .connect)
        )
    }

    static func invalid(_ proxy: Proxy, _ what: String) -> TunnelAction {
        .failed(WebSocketError(.proxyInvalid, "The answer of the proxy \(proxy) is invalid: \(what).", phase: .connect))
    }

    static func ended(_ proxy: Proxy) -> TunnelAction {
        .failed(
            WebSocketError(
                .connectFailed,
                "The proxy \(proxy) closed the connection before the tunnel stood.",
                detail: .throughProxy,
                phase: .connect
            )
        )
    }

    static func timedOut(_ proxy: Proxy) -> TunnelAction {
        .failed(
            WebSocketError(.timeout, "The proxy \(proxy) did not open a tunnel in time.", phase: .connect)
        )
    }
}
