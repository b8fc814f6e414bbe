// A tunnel through a SOCKS 4 proxy, with the extension 4a for names: the memos of Ying-Da Lee (R-P1).
//
//    request    04 | 01 | port | address | user 00              →    address 0.0.0.1 where a name follows:
//                                        … | name 00                 SOCKS 4a
//               00 | reply | 6 bytes of no interest             ←
//
// States × events:
//            bytes                                                 end of input             time
//   reply    5A → established, what follows is the tunnel's;       failed connectFailed     failed timeout
//            other → refused, in words
//   done     left alone                                            nothing                  nothing
//
// - our own bug or the caller's: thrown by `init` as `invalidArgument`;
// - the proxy's violation: `proxyInvalid`;
// - ignored: the address and port of the reply.

import NIOCore

struct Socks4Tunnel: TunnelMachine {
    private static let replyBytes = 8

    private let proxy: Proxy
    private let url: WebSocketURL
    private let request: ByteBuffer
    private var input = ByteBuffer()
    private var isDone = false

    init(through proxy: Proxy, to url: WebSocketURL) throws(WebSocketError) {
        self.proxy = proxy
        self.url = url
        guard proxy.password?.isEmpty ?? true else {
            throw WebSocketError(
                .invalidArgument,
                "A SOCKS 4 proxy knows no passwords: use socks5, or leave the password out.",
                phase: .connect
            )
        }
        let address = Host.addressBytes(url.host)
        guard address?.count ?? 4 == 4 else {
            throw WebSocketError(
                .invalidArgument,
                "A SOCKS 4 proxy cannot connect to an IPv6 address: use socks5.",
                phase: .connect
            )
        }
        var request = ByteBuffer(bytes: [0x04, 0x01])
        request.writeInteger(UInt16(truncatingIfNeeded: url.port))
        request.writeBytes(address ?? [0, 0, 0, 1])
        // Neither holds a zero byte: a proxy's user has no control characters, a host only letters and the like.
        request.writeString(proxy.user ?? "")
        request.writeInteger(UInt8(0))
        if address == nil {
            request.writeString(url.host)
            request.writeInteger(UInt8(0))
        }
        self.request = request
    }

    func start() -> TunnelAction { .send(self.request) }

    mutating func receive(_ bytes: ByteBuffer) -> TunnelAction {
        if self.isDone { return .wait }
        self.input.writeImmutableBuffer(bytes)
        guard let version: UInt8 = self.input.getInteger(at: self.input.readerIndex) else { return .wait }
        guard version == 0 else {
            self.isDone = true
            return TunnelFailure.invalid(self.proxy, "it does not speak SOCKS 4")
        }
        guard let code: UInt8 = self.input.getInteger(at: self.input.readerIndex + 1),
            self.input.readableBytes >= Self.replyBytes
        else { return .wait }
        self.isDone = true
        guard code == 0x5A else {
            return TunnelFailure.refused(
                "The proxy \(self.proxy) did not open a tunnel to \(Tunnel.target(of: self.url)): \(Self.words(for: code)).",
                isBeyondProxy: code == 0x5B
            )
        }
        self.input.moveReaderIndex(forwardBy: Self.replyBytes)
        return .established(self.input.slice())
    }

    mutating func inputEnded() -> TunnelAction {
        if self.isDone { return .wait }
        self.isDone = true
        return TunnelFailure.ended(self.proxy)
    }

    mutating func timeReached() -> TunnelAction {
        if self.isDone { return .wait }
        self.isDone = true
        return TunnelFailure.timedOut(self.proxy)
    }

    static func words(for code: UInt8) -> String {
        switch code {
        case 0x5B: "it was refused or failed"
        case 0x5C: "the proxy cannot ask who we are (identd)"
        case 0x5D: "the proxy was told that we are somebody else (identd)"
        default: "it gave the reply 0x\(Bytes.hex(code)), which has no meaning"
        }
    }
}
