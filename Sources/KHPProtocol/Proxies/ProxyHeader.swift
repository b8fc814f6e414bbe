// The header by which a proxy that only carries bytes names its client: the PROXY protocol of HAProxy, in its first
// version, a line of text, and its second, binary. It comes before everything else on a connection, TLS too, and once.
//
//   waiting ── all of a header ──▶ read: the bytes behind it are the client's
//      └─── bytes that begin no header, a header that is wrong or too long ──▶ failed

package import NIOCore

/// The header, read.
package struct ProxyHeader: Sendable, Hashable {
    /// The client's address; `nil` where the proxy speaks for itself or does not say: the connection's own counts.
    package let client: SocketAddress?
    /// The common name of the client's certificate, where the proxy has ended TLS and verified it.
    package let certificateName: String?

    private init(client: SocketAddress?, certificateName: String? = nil) {
        self.client = client
        self.certificateName = certificateName
    }

    /// The longest of the first version, with its line end.
    static let longestLine = 107
    /// The most that may follow the first 16 bytes of the second version: addresses, and values that nobody here reads.
    static let longestRest = 2048

    private static let signature: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
    private static let word: [UInt8] = Array("PROXY ".utf8)

    /// `true` for bytes that begin as a header does, of either version, as far as that is certain.
    package static func begins(_ bytes: ByteBufferView) -> Bool {
        bytes.starts(with: Self.word) || bytes.starts(with: Self.signature)
    }

    /// Takes a header from the beginning of what a connection has sent.
    /// - Returns: `nil`, and takes nothing, until all of it is there.
    /// - Throws: as soon as the bytes can become no header.
    package static func read(_ bytes: inout ByteBuffer) throws(ProxyHeaderError) -> ProxyHeader? {
        switch bytes.readableBytesView.first {
        case nil: nil
        case Self.signature[0]: try Self.readBinary(&bytes)
        default: try Self.readLine(&bytes)
        }
    }

    // MARK: The first version

    private static func readLine(_ bytes: inout ByteBuffer) throws(ProxyHeaderError) -> ProxyHeader? {
        let view = bytes.readableBytesView.prefix(Self.longestLine)
        guard view.prefix(Self.word.count).elementsEqual(Self.word.prefix(view.count)) else { throw .missing }
        guard let end = view.firstIndex(of: UInt8(ascii: "\n")) else {
            guard view.count < Self.longestLine else { throw .invalid }
            return nil
        }
        let line = view[..<end]
        guard line.last == UInt8(ascii: "\r") else { throw .invalid }
        let header = try Self.header(Self.words(line.dropLast()))
        bytes.moveReaderIndex(to: end + 1)
        return header
    }

    private static func words(_ line: ByteBufferView) -> [Substring] {
        Substring(decoding: line, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
    }

    private static func header(_ words: [Substring]) throws(ProxyHeaderError) -> ProxyHeader {
        // The rest of the line behind UNKNOWN is to be passed over.
        if words.count >= 2, words[1] == "UNKNOWN" { return ProxyHeader(client: nil) }
        guard words.count == 6, words[1] == "TCP4" || words[1] == "TCP6" else { throw .invalid }
        let isV4 = words[1] == "TCP4"
        guard let client = Self.address(words[2], words[4], isV4: isV4),
            Self.address(words[3], words[5], isV4: isV4) != nil
        else { throw .invalid }
        return ProxyHeader(client: client)
    }

    private static func address(_ host: Substring, _ port: Substring, isV4: Bool) -> SocketAddress? {
        guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            port == "0" || port.utf8.first != 0x30, let number = Int(port), number <= 65535,
            let address = try? SocketAddress(ipAddress: String(host), port: number)
        else { return nil }
        switch address {
        case .v4: return isV4 ? address : nil
        case .v6: return isV4 ? nil : address
        case .unixDomainSocket: return nil
        }
    }

    // MARK: The second version

    private static func readBinary(_ bytes: inout ByteBuffer) throws(ProxyHeaderError) -> ProxyHeader? {
        let view = bytes.readableBytesView
        guard view.prefix(12).elementsEqual(Self.signature.prefix(view.count)) else { throw .missing }
        let start = bytes.readerIndex
        guard let command: UInt8 = bytes.getInteger(at: start + 12) else { return nil }
        guard command == 0x20 || command == 0x21 else { throw .invalid }
        guard let family: UInt8 = bytes.getInteger(at: start + 13),
            let length: UInt16 = bytes.getInteger(at: start + 14)
        else { return nil }
        guard length <= Self.longestRest else { throw .invalid }
        guard let whole = bytes.getSlice(at: start, length: 16 + Int(length)) else { return nil }
        let (client, size) = try Self.client(command, family, whole)
        let name = try Self.check(whole, from: 16 + size)
        bytes.moveReaderIndex(forwardBy: whole.readableBytes)
        return ProxyHeader(client: client, certificateName: name)
    }

    /// The client's address, and how many bytes the addresses take.
    private static func client(
        _ command: UInt8,
        _ family: UInt8,
        _ header: ByteBuffer
    ) throws(ProxyHeaderError) -> (SocketAddress?, Int) {
        // Address family in the high half, kind of transport in the low one.
        let size: Int
        switch family >> 4 {
        case 0: size = 0
        case 1: size = 12
        case 2: size = 36
        case 3: size = 216
        default: throw .invalid
        }
        guard family & 0xF <= 2 else { throw .invalid }
        // The proxy itself, for a check of its own perhaps: its addresses, and what follows them, are to be passed over.
        guard command == 0x21 else { return (nil, header.readableBytes - 16) }
        // An unspecified or datagram family: the addresses do not describe this TCP connection and are skipped.
        guard size > 0, family & 0xF == 1 else { return (nil, header.readableBytes - 16) }
        guard header.readableBytes >= 16 + size else { throw .invalid }
        // The clients of a Unix domain socket have no address to count by.
        guard size < 216 else { return (nil, size) }
        let width = size == 12 ? 4 : 16
        var header = header
        header.moveReaderIndex(forwardBy: 16)
        let port: UInt16? = header.getInteger(at: header.readerIndex + 2 * width)
        guard let host = header.readSlice(length: width), let port,
            let client = try? SocketAddress(packedIPAddress: host, port: Int(port))
        else { throw .invalid }
        return (client, size)
    }

    /// The checksum of the whole header, as Castagnoli's CRC with its own bytes as zeros.
    private static let checksum: UInt8 = 0x03

    /// The TLS between the client and the proxy.
    private static let security: UInt8 = 0x20

    /// Holds the values behind the addresses to their form, and the header to its checksum where it has one.
    /// - Returns: the common name of the client's certificate.
    private static func check(_ header: ByteBuffer, from place: Int) throws(ProxyHeaderError) -> String? {
        var place = place
        var isChecked = false
        var name: String?
        while place < header.readableBytes {
            guard let type: UInt8 = header.getInteger(at: place), let length: UInt16 = header.getInteger(at: place + 1)
            else { throw .invalid }
            place += 3 + Int(length)
            guard place <= header.readableBytes else { throw .invalid }
            if type == Self.security, name == nil {
                name = header.getSlice(at: place - Int(length), length: Int(length)).flatMap { Self.commonName($0) }
            }
            guard type == Self.checksum else { continue }
            // A second one would be work for nothing.
            guard !isChecked, length == 4, let said: UInt32 = header.getInteger(at: place - 4) else { throw .invalid }
            var zeroed = header
            zeroed.setInteger(0 as UInt32, at: place - 4)
            guard Castagnoli.sum(of: zeroed.readableBytesView) == said else { throw .invalid }
            isChecked = true
        }
        return name
    }

    /// The common name of a certificate that the proxy has verified; `nil` where there is none, or more than one.
    private static func commonName(_ value: ByteBuffer) -> String? {
        var value = value
        // Shown on this connection or another of its session (PP2_CLIENT_CERT_CONN, PP2_CLIENT_CERT_SESS), and good.
        guard let flags: UInt8 = value.readInteger(), flags & 0x01 != 0, flags & 0x06 != 0,
            let result: UInt32 = value.readInteger(), result == 0
        else { return nil }
        var name: String?
        while let type: UInt8 = value.readInteger() {
            guard let length: UInt16 = value.readInteger(), let part = value.readSlice(length: Int(length)) else {
                return nil
            }
            guard type == 0x22 else { continue }
            // Rejects a second common name, since a client could choose between two, and control characters, which
            // mislead readers.
            guard name == nil, (1...256).contains(part.readableBytes),
                let text = String(validating: part.readableBytesView, as: UTF8.self),
                text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
            else { return nil }
            name = text
        }
        return name
    }
}

/// The reason why bytes are no header of a proxy.
package enum ProxyHeaderError: Error, Hashable {
    /// They begin as none does: the proxy is not told to send one, or it is no proxy.
    case missing
    /// They begin as one, and are wrong.
    case invalid
}

/// CRC-32C (RFC 3720 appendix B.4), bit by bit: few headers have one.
private enum Castagnoli {
    static func sum(of bytes: ByteBufferView) -> UInt32 {
        var sum = UInt32.max
        for byte in bytes {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0x82F6_3B78 : sum >> 1 }
        }
        return ~sum
    }
}
