// The PROXY header that names a client to its backend (HAProxy's proxy-protocol.txt, versions 1 and 2). Brokers read it as the
// first bytes of the stream, some of them only where it comes in one piece.

import NIOCore

/// The client, as far as a header can name it.
struct ProxyHeader: Sendable {
    /// Both ends of the client's connection; `nil` where one of them is not known, or is no address of IP.
    private let ends: (source: SocketAddress, destination: SocketAddress)?
    /// The session's identifier (PP2_TYPE_UNIQUE_ID).
    var uniqueID: String?
    /// The name that the client's TLS asked for, or else the host of its request (PP2_TYPE_AUTHORITY).
    var authority: String?
    /// The common name of the client's verified certificate (PP2_SUBTYPE_SSL_CN).
    var certificateName: String?
    /// Set where the client came by TLS.
    var usesTLS = false
    /// Such as `TLSv1.3` (PP2_SUBTYPE_SSL_VERSION).
    var tlsVersion: String?
    /// The principal's name, as a type of our own.
    var principal: String?

    /// The type of the principal's name, from the range for applications' own use.
    static let principalType: UInt8 = 0xE0

    init(source: SocketAddress?, destination: SocketAddress?) {
        if let source, let destination, source.port != nil, destination.port != nil {
            self.ends = Self.sameFamily(source, destination)
        } else {
            self.ends = nil
        }
    }

    /// Version 1 of a connection that names nobody.
    static let unknown = ByteBuffer(string: "PROXY UNKNOWN\r\n")

    /// Version 2 of a connection that names nobody: the command LOCAL, and nothing else (section 2.2).
    static let local = ByteBuffer(bytes: Self.signature + [0x20, 0x00, 0x00, 0x00])

    /// Version 1: one line.
    var v1: ByteBuffer {
        guard let ends, let from = ends.source.ipAddress, let to = ends.destination.ipAddress else {
            return Self.unknown
        }
        return ByteBuffer(
            string: "PROXY \(self.isV6 ? "TCP6" : "TCP4") \(from) \(to) \(ends.source.port ?? 0) "
                + "\(ends.destination.port ?? 0)\r\n"
        )
    }

    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]

    /// Version 2, with a checksum.
    var v2: ByteBuffer {
        var body = ByteBuffer()
        // A family that is not known has no addresses (section 2.2): what the header says else follows at once.
        let ends = self.ends.map { [$0.source, $0.destination] } ?? []
        for address in ends { body.writeBytes(Self.bytes(address)) }
        for address in ends { body.writeInteger(UInt16(clamping: address.port ?? 0)) }
        // The checksum is counted with zeros in its own place.
        let checksum = Self.signature.count + 4 + body.writerIndex + 3
        Self.write(0x03, [0, 0, 0, 0], to: &body)
        if let authority { Self.write(0x02, Array(authority.utf8), to: &body) }
        if let uniqueID { Self.write(0x05, Array(uniqueID.utf8), to: &body) }
        if self.usesTLS { Self.write(0x20, self.tls, to: &body) }
        if let principal { Self.write(Self.principalType, Array(principal.utf8), to: &body) }
        var header = ByteBuffer(bytes: Self.signature)
        header.writeInteger(UInt8(0x21))
        header.writeInteger(ends.isEmpty ? UInt8(0x00) : self.isV6 ? 0x21 : 0x11)
        header.writeInteger(UInt16(clamping: body.readableBytes))
        header.writeBuffer(&body)
        header.setInteger(Self.crc32c(header.readableBytesView), at: checksum)
        return header
    }

    /// That the client used TLS, with a certificate that was verified where it has a name (section 2.2.6).
    private var tls: [UInt8] {
        // PP2_CLIENT_SSL, PP2_CLIENT_CERT_CONN and PP2_CLIENT_CERT_SESS; `verify` is 0 for a certificate that is good.
        var bytes: [UInt8] = [self.certificateName == nil ? 0x01 : 0x07]
        bytes += self.certificateName == nil ? [0, 0, 0, 1] : [0, 0, 0, 0]
        if let version = self.tlsVersion {
            var part = ByteBuffer()
            Self.write(0x21, Array(version.utf8), to: &part)
            bytes += Array(part.readableBytesView)
        }
        if let name = self.certificateName {
            var part = ByteBuffer()
            Self.write(0x22, Array(name.utf8), to: &part)
            bytes += Array(part.readableBytesView)
        }
        return bytes
    }

    private static func write(_ type: UInt8, _ value: [UInt8], to body: inout ByteBuffer) {
        let value = value.prefix(1024)
        body.writeInteger(type)
        body.writeInteger(UInt16(value.count))
        body.writeBytes(value)
    }

    private var isV6: Bool {
        if case .v6? = self.ends?.source { true } else { false }
    }

    /// Both addresses as IPv6 where one of them is.
    private static func sameFamily(
        _ source: SocketAddress,
        _ destination: SocketAddress
    ) -> (source: SocketAddress, destination: SocketAddress) {
        switch (source, destination) {
        case (.v4, .v4): (source, destination)
        default: (Self.mapped(source), Self.mapped(destination))
        }
    }

    private static func mapped(_ address: SocketAddress) -> SocketAddress {
        guard case .v4 = address, let text = address.ipAddress else { return address }
        return (try? SocketAddress(ipAddress: "::ffff:\(text)", port: address.port ?? 0)) ?? address
    }

    private static func bytes(_ address: SocketAddress) -> [UInt8] {
        switch address {
        case .v4(let address): withUnsafeBytes(of: address.address) { Array($0[4..<8]) }
        case .v6(let address): withUnsafeBytes(of: address.address) { Array($0[8..<24]) }
        case .unixDomainSocket: []
        }
    }

    /// CRC32C (RFC 3720 appendix B.4), bit by bit: a header is short.
    static func crc32c(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0x82F6_3B78 : crc >> 1 }
        }
        return ~crc
    }
}
