// The header by which a proxy names its client, as HAProxy writes it and as nobody should: whole and cut at every byte.

import NIOCore
import Testing

@testable import KHPProtocol

@Suite("The header in which a proxy names its client") struct ProxyHeaderTests {
    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.utf8.filter { $0 != 0x20 }
        return stride(from: 0, to: digits.count, by: 2).compactMap {
            UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
        }
    }

    private static let signature = "0d0a0d0a000d0a515549540a"
    private static let addresses = "c0000207 c6336401 1f90 01bb"

    /// Headers, the client that each names, and how many bytes are behind it.
    private static let good: [(header: [UInt8], client: String?)] =
        written.map { (bytes($0.0), $0.1) } + lines.map { (Array($0.0.utf8), $0.1) }

    /// Lines, in the first version.
    private static let lines: [(String, String?)] = [
        ("PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", "[2001:db8::7]:4711"),
        ("PROXY UNKNOWN ffff::1 anything at all\r\n", nil),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 0 65535\r\n", "192.0.2.7:0"),
    ]

    private static let loopback6 = String(repeating: "00", count: 15) + "01"
    private static let zeros = String(repeating: "00", count: 2033)
    private static let paths = String(repeating: "2f", count: 216)

    /// Bytes: the first six as HAProxy 2.6.12 writes them.
    private static let written: [(String, String?)] = [
        ("50524f58592054435034203132372e302e302e31203132372e302e302e312034303633302032303030310d0a", "127.0.0.1:40630"),
        ("50524f585920554e4b4e4f574e0d0a", nil),
        ("\(signature)2111000c 7f000001 7f000001 aa7e 4e22", "127.0.0.1:43646"),
        ("\(signature)21210024\(loopback6)\(loopback6)b41c4e24", "[::1]:46108"),
        (
            "\(signature)211100587f0000017f000001de544e23030004724fda0102000e67772e6578616d706c652e636f6d05000020002e0700000000210007544c5376312e332200036a6f65230016544c535f4145535f3235365f47434d5f534841333834",
            "127.0.0.1:56916"
        ),
        ("\(signature)20000000", nil),
        ("\(signature)2000000c\(addresses)", nil),
        ("\(signature)2011000c\(addresses)", nil),
        ("\(signature)2100000c\(addresses)", nil),
        ("\(signature)2101000c\(addresses)", nil),
        ("\(signature)2112000c\(addresses)", nil),
        ("\(signature)213100d8\(paths)", nil),
        ("\(signature)2111000f\(addresses)040000", "192.0.2.7:8080"),
        ("\(signature)21110800\(addresses)0407f1\(zeros)", "192.0.2.7:8080"),
    ]

    private static func text(_ address: SocketAddress?) -> String? {
        guard let address, let host = address.ipAddress, let port = address.port else { return nil }
        return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    @Test("a header names its client, alone and with bytes behind it") func good() throws {
        for row in Self.good {
            for rest in ["", "GET / HTTP/1.1\r\n", "PROXY UNKNOWN\r\n"] {
                var bytes = ByteBuffer(bytes: row.header)
                bytes.writeString(rest)
                let result = Result { () throws(ProxyHeaderError) in try ProxyHeader.read(&bytes) }
                guard case .success(let header?) = result else {
                    Issue.record("\(result) of \(row)")
                    continue
                }
                #expect(Self.text(header.client) == row.client)
                #expect(String(buffer: bytes) == rest)
            }
        }
    }

    /// TLS values: client, verify, then values of their own; and the name that may be believed.
    private static let names: [(String, String?)] = [
        ("07 00000000 220003 6a6f65", "joe"), ("03 00000000 210007 544c5376312e33 220003 6a6f65", "joe"),
        ("05 00000000 220003 6a6f65", "joe"),
        // Without TLS, without a certificate, and with one that was not verified.
        ("06 00000000 220003 6a6f65", nil), ("01 00000000 220003 6a6f65", nil), ("07 00000001 220003 6a6f65", nil),
        ("07 01000000 220003 6a6f65", nil),
        // No name, two, an empty one, one with a line end, none of UTF-8, and values that end too early.
        ("07 00000000", nil), ("07 00000000 220003 6a6f65 220003 616e6e", nil), ("07 00000000 220000", nil),
        ("07 00000000 220003 6a0a65", nil), ("07 00000000 220001 ff", nil), ("07 00000000 220004 6a6f65", nil),
        ("07 00000000 2200", nil), ("07 0000", nil), ("", nil),
        ("07 00000000 220101 \(String(repeating: "61", count: 257))", nil),
    ]

    @Test("the common name counts of a certificate that the proxy has verified", arguments: names)
    func certificateName(_ value: String, _ name: String?) throws {
        let value = Self.bytes(value)
        var header = ByteBuffer(bytes: Self.bytes("\(Self.signature)2111"))
        header.writeInteger(UInt16(12 + 3 + value.count))
        header.writeBytes(Self.bytes(Self.addresses))
        header.writeInteger(UInt8(0x20))
        header.writeInteger(UInt16(value.count))
        header.writeBytes(value)
        let read = try #require(try ProxyHeader.read(&header))
        #expect(Self.text(read.client) == "192.0.2.7:8080")
        #expect(read.certificateName == name)
    }

    @Test("a header that comes in pieces takes nothing until it is whole") func pieces() throws {
        for row in Self.good {
            for count in 0..<row.header.count {
                var bytes = ByteBuffer(bytes: row.header[..<count])
                #expect(try ProxyHeader.read(&bytes) == nil)
                #expect(bytes.readableBytes == count)
            }
        }
    }

    private static let foreign: [String] = [
        "GET / HTTP/1.1\r\n", "proxy TCP4", "PROXYTCP4", "\u{16}\u{3}\u{1}", " PROXY", "\n", "PROXY\tTCP4",
    ]

    private static let wrongLines: [String] = [
        "PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n", "PROXY TCP4 192.0.2.7 198.51.100.1 1 22\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
        "PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n", "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 65536 2\r\n", "PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n",
        "PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n", "PROXY TCP4 192.0.2.7 198.51.100.1  2\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", "PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
        "PROXY TCP4 localhost 198.51.100.1 1 2\r\n", "PROXY TCP4 192.0.2.7 x 1 2\r\n",
        "PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n", "PROXY UDP6 2001:db8::7 2001:db8::1 1 2\r\n",
        "PROXY \r\n", "PROXY TCP4\r\n",
        "PROXY UNKNOWN " + String(repeating: "x", count: 92) + "\r\n",
        "PROXY UNKNOWN " + String(repeating: "x", count: 93),
    ]

    private static let foreignBytes: [String] = ["0d0a0d0a000d0a515549540b", "0d0a47"]

    /// Behind the signature. The last four have a checksum that is wrong, one that is too short, one that is right and too
    /// long, and two of which each is right.
    private static let wrongBytes: [String] = [
        "11", "22", "31", "21410000", "2113000c" + addresses, "2111000b" + addresses, "2121000c" + addresses,
        "21110801",
        "2111000d" + addresses + "04", "2111000f" + addresses + "040001",
        "21110013" + addresses + "030004 00000000", "21110011" + addresses + "030002 0000",
        "21110014" + addresses + "030005 0021fac113",
        "2111001a" + addresses + "030004 02d08e5d 030004 22ec74b9",
    ]

    private static var wrong: [(header: [UInt8], error: ProxyHeaderError)] {
        var rows: [(header: [UInt8], error: ProxyHeaderError)] = []
        for text in self.foreign { rows.append((Array(text.utf8), .missing)) }
        for text in self.wrongLines { rows.append((Array(text.utf8), .invalid)) }
        for hex in self.foreignBytes { rows.append((self.bytes(hex), .missing)) }
        for hex in self.wrongBytes { rows.append((self.bytes(self.signature + hex), .invalid)) }
        return rows
    }

    @Test("what is no header is found as soon as that is certain") func wrong() {
        for row in Self.wrong {
            var bytes = ByteBuffer(bytes: row.header)
            #expect(throws: row.error, "\(String(decoding: row.header, as: UTF8.self))") {
                try ProxyHeader.read(&bytes)
            }
        }
        // The longest that can be, with its end.
        var longest = ByteBuffer(string: "PROXY UNKNOWN " + String(repeating: "x", count: 91) + "\r\n")
        #expect(longest.readableBytes == 107)
        #expect(throws: Never.self) { try ProxyHeader.read(&longest) }
    }
}
