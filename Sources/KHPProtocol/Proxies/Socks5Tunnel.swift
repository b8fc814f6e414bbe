// A tunnel through a SOCKS 5 proxy: RFC 1928, with user and password as RFC 1929 has them (R-P1).
//
//    greeting   05 | count | methods …                    →
//               05 | method                               ←
//    login      01 | length | user | length | password    →    where the proxy chose method 02
//               01 | status                               ←
//    request    05 | 01 | 00 | address | port             →    CONNECT
//               05 | reply | 00 | address | port          ←
//    address    01 | 4 bytes,  03 | length | name,  04 | 16 bytes
//
// States × events:
//            bytes                                                 end of input             time
//   method   00 → request; 02 → login; FF → refused                failed connectFailed     failed timeout
//   login    status 0 → request; other → refused                   the same                 the same
//   reply    0 → established, what follows is the tunnel's;        the same                 the same
//            other → refused, in words
//   done     left alone                                            nothing                  nothing
//
// - our own bug or the caller's: thrown by `init` as `invalidArgument`;
// - the proxy's violation: `proxyInvalid`, bytes that come before they are asked for among them;
// - ignored: the address that the proxy says it is bound to.

import NIOCore

struct Socks5Tunnel: TunnelMachine {
    private enum State {
        case method
        case login
        case reply
        case done
    }

    private static let version: UInt8 = 0x05
    private static let noAuthentication: UInt8 = 0x00
    private static let userAndPassword: UInt8 = 0x02
    private static let loginVersion: UInt8 = 0x01

    private let proxy: Proxy
    private let url: WebSocketURL
    private var state = State.method
    private var input = ByteBuffer()

    init(through proxy: Proxy, to url: WebSocketURL) throws(WebSocketError) {
        self.proxy = proxy
        self.url = url
        guard (proxy.user ?? "").utf8.count <= 255, (proxy.password ?? "").utf8.count <= 255 else {
            throw WebSocketError(
                .invalidArgument,
                "User and password for a SOCKS proxy are at most 255 bytes each.",
                phase: .connect
            )
        }
    }

    func start() -> TunnelAction {
        let methods =
            self.proxy.hasCredentials ? [Self.noAuthentication, Self.userAndPassword] : [Self.noAuthentication]
        return .send(ByteBuffer(bytes: [Self.version, UInt8(methods.count)] + methods))
    }

    mutating func receive(_ bytes: ByteBuffer) -> TunnelAction {
        if case .done = self.state { return .wait }
        self.input.writeImmutableBuffer(bytes)
        let action =
            switch self.state {
            case .method: self.method()
            case .login: self.login()
            case .reply: self.reply()
            case .done: TunnelAction.wait
            }
        switch action {
        case .established, .failed: self.state = .done
        case .send where self.input.readableBytes > 0:
            // The proxy cannot know the question yet that it answers there.
            self.state = .done
            return TunnelFailure.invalid(self.proxy, "it answers before it was asked")
        default: break
        }
        return action
    }

    mutating func inputEnded() -> TunnelAction {
        if case .done = self.state { return .wait }
        self.state = .done
        return TunnelFailure.ended(self.proxy)
    }

    mutating func timeReached() -> TunnelAction {
        if case .done = self.state { return .wait }
        self.state = .done
        return TunnelFailure.timedOut(self.proxy)
    }

    private mutating func method() -> TunnelAction {
        if let first = self.input.readableBytesView.first, first != Self.version { return self.notSocks() }
        guard let (_, method) = self.input.readMultipleIntegers(as: (UInt8, UInt8).self) else { return .wait }
        switch method {
        case Self.noAuthentication:
            return self.request()
        case Self.userAndPassword where self.proxy.hasCredentials:
            let (user, password) = (Array((self.proxy.user ?? "").utf8), Array((self.proxy.password ?? "").utf8))
            self.state = .login
            return .send(
                ByteBuffer(
                    bytes: [Self.loginVersion, UInt8(truncatingIfNeeded: user.count)] + user
                        + [UInt8(truncatingIfNeeded: password.count)] + password
                )
            )
        case 0xFF where self.proxy.hasCredentials:
            return TunnelFailure.refused("The proxy \(self.proxy) takes neither user and password nor nothing at all.")
        case 0xFF:
            return .failed(
                WebSocketError(
                    .proxyAuthenticationRequired,
                    "The proxy \(self.proxy) asks for credentials, and there are none to give it.",
                    detail: .noCredentials,
                    phase: .connect
                )
            )
        default:
            return TunnelFailure.invalid(self.proxy, "it chose an authentication that was not offered")
        }
    }

    private mutating func login() -> TunnelAction {
        guard let (version, status) = self.input.readMultipleIntegers(as: (UInt8, UInt8).self) else { return .wait }
        guard version == Self.loginVersion else {
            return TunnelFailure.invalid(self.proxy, "its answer to user and password has another version")
        }
        guard status == 0 else {
            return .failed(
                WebSocketError(
                    .proxyAuthenticationRequired,
                    "The proxy \(self.proxy) refused the credentials.",
                    detail: .credentialsRefused,
                    phase: .connect
                )
            )
        }
        return self.request()
    }

    private mutating func request() -> TunnelAction {
        self.state = .reply
        var request = ByteBuffer(bytes: [Self.version, 0x01, 0x00])
        if let address = Host.addressBytes(self.url.host) {
            request.writeInteger(address.count == 4 ? UInt8(0x01) : 0x04)
            request.writeBytes(address)
        } else {
            // The proxy resolves names (R-C1); a checked host has at most 254 bytes.
            let name = self.url.host.utf8.prefix(255)
            request.writeInteger(UInt8(0x03))
            request.writeInteger(UInt8(truncatingIfNeeded: name.count))
            request.writeBytes(name)
        }
        request.writeInteger(UInt16(truncatingIfNeeded: self.url.port))
        return .send(request)
    }

    private mutating func reply() -> TunnelAction {
        let start = self.input.readerIndex
        guard let version: UInt8 = self.input.getInteger(at: start) else { return .wait }
        guard version == Self.version else { return self.notSocks() }
        // A refusal is one without the rest, which some leave out.
        guard let code: UInt8 = self.input.getInteger(at: start + 1) else { return .wait }
        guard code == 0 else {
            return TunnelFailure.refused(
                "The proxy \(self.proxy) did not open a tunnel to \(Tunnel.target(of: self.url)): \(Self.words(for: code)).",
                isBeyondProxy: [0x01, 0x03, 0x04, 0x05, 0x06].contains(code)
            )
        }
        guard let kind: UInt8 = self.input.getInteger(at: start + 3) else { return .wait }
        let length: Int
        switch kind {
        case 0x01: length = 4
        case 0x04: length = 16
        case 0x03:
            guard let count: UInt8 = self.input.getInteger(at: start + 4) else { return .wait }
            length = 1 + Int(count)
        default: return TunnelFailure.invalid(self.proxy, "its address is of no known type")
        }
        guard self.input.readableBytes >= 4 + length + 2 else { return .wait }
        self.input.moveReaderIndex(forwardBy: 4 + length + 2)
        return .established(self.input.slice())
    }

    private func notSocks() -> TunnelAction {
        TunnelFailure.invalid(self.proxy, "it does not speak SOCKS 5")
    }

    /// RFC 1928 section 6.
    static func words(for code: UInt8) -> String {
        switch code {
        case 0x01: "the proxy failed"
        case 0x02: "its rules do not allow it"
        case 0x03: "the network cannot be reached"
        case 0x04: "the host cannot be reached"
        case 0x05: "the server refused the connection"
        case 0x06: "the time to live expired on the way"
        case 0x07: "the proxy does not support tunnels"
        case 0x08: "the proxy does not support this type of address"
        default: "it gave the reply 0x\(Bytes.hex(code)), which has no meaning"
        }
    }
}
