// A peer that goes in the middle of a client's handshakes, in one of the ways in which TCP lets it.

import KHPProtocol
package import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

package enum GoingPeer {
    /// How it goes.
    package enum End: CaseIterable, Sendable {
        case reset, end, halfClose, silence

        package func happen(to channel: any Channel) async throws {
            switch self {
            case .reset:
                try await (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
                try await channel.close()
            case .end: try await channel.close()
            case .halfClose: try await channel.close(mode: .output)
            case .silence: break
            }
        }
    }

    /// The last answer before the peer goes.
    package enum Stage: CaseIterable, Sendable {
        /// Nothing.
        case opening
        /// A part of a status line.
        case openingBegun
        /// A 101, and nothing to the extended request.
        case extended
        /// A part of a status line, inside.
        case extendedBegun

        package var isExtended: Bool { self == .extended || self == .extendedBegun }
    }

    /// Runs one around `body`, on a port of this machine.
    package static func run<Result: Sendable>(
        _ stage: Stage,
        _ end: End,
        body: (Int) async throws -> Result
    ) async throws -> Result {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                var reads = inbound.makeAsyncIterator()
                var head = ""
                while !head.hasSuffix("\r\n\r\n"), let bytes = try await reads.next() { head += String(buffer: bytes) }
                switch stage {
                case .opening: break
                case .openingBegun: try await outbound.write(ByteBuffer(string: "HTTP/1.1 10"))
                case .extended, .extendedBegun:
                    let key = head.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Key: ") }
                    let lines = [
                        "HTTP/1.1 101 X", "Upgrade: websocket", "Connection: Upgrade",
                        "Sec-WebSocket-Accept: \(acceptValue(for: String(key?.dropFirst(19) ?? "")))",
                        "Sec-WebSocket-Protocol: x-kaazing-handshake",
                    ]
                    try await outbound.write(ByteBuffer(string: lines.joined(separator: "\r\n") + "\r\n\r\n"))
                    _ = try await reads.next()
                    if stage == .extendedBegun {
                        try await outbound.write(ByteBuffer(bytes: [0x02, 0x05] + "HTTP/".utf8))
                    }
                }
                try await end.happen(to: connection.channel)
                while try await reads.next() != nil {}
            }
        } body: { port in
            try await body(port)
        }
    }
}
