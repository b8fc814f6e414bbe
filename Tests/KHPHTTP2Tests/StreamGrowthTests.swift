// Heads and content of HTTP/2 grow no faster than their bytes, in either role (threat I4).

import NIOCore
import NIOHPACK
import TestSupport
import Testing

@testable import KHPHTTP2

@Suite("work grows in proportion to what a peer of HTTP/2 sends", .serialized)
struct StreamGrowthTests {
    /// Fields of a head, in the shapes that could cost most. `StreamTarget` reads those of its target.
    private static let shapes: [(name: String, fields: @Sendable (Int) -> [(String, String)])] = [
        ("different fields", { bytes in (0..<bytes / 40).map { ("field-\($0)", "value of the field") } }),
        ("one field, many times", { bytes in (0..<bytes / 10).map { _ in ("a", "b") } }),
        ("cookies", { bytes in (0..<bytes / 16).map { ("cookie", "c\($0)=v") } }),
        ("fields of a connection", { bytes in (0..<bytes / 20).map { _ in ("keep-alive", "x") } }),
        ("one long value", { bytes in [("a", String(repeating: "v", count: bytes))] }),
        ("one long name", { bytes in [(String(repeating: "n", count: bytes), "v")] }),
        ("one long path", { bytes in [(":path", "/" + String(repeating: "a", count: bytes))] }),
        ("one long host", { bytes in [(":authority", String(repeating: "a.", count: bytes / 2))] }),
    ]

    @Test("a head, at the server and at the client", arguments: Self.shapes.map(\.name), [true, false])
    func head(_ name: String, isServer: Bool) throws {
        let shape = try #require(Self.shapes.first { $0.name == name })
        let fault = Growth.fault(limit: 32 * 1024) { bytes in
            let given = shape.fields(bytes)
            var fields = isServer ? [(":method", "GET"), (":scheme", "https")] : [(":status", "200")]
            if isServer, given.first?.0 != ":path" { fields.append((":path", "/")) }
            // A response has no pseudo-header field of a request.
            fields += isServer ? given : given.filter { !$0.0.hasPrefix(":") }
            let head = HPACKHeaders(fields)
            return {
                if isServer {
                    var exchange = ServerExchange()
                    _ = try? exchange.receive(head, isLast: true)
                } else {
                    var exchange = ClientExchange()
                    _ = try? exchange.receive(head, isLast: true)
                }
            }
        }
        #expect(fault == nil)
    }

    @Test("content in frames of one byte")
    func content() {
        let fault = Growth.fault(limit: 64 * 1024) { bytes in
            let head = HPACKHeaders([(":method", "POST"), (":scheme", "https"), (":path", "/")])
            let frame = ByteBuffer(bytes: [0x61])
            return {
                var exchange = ServerExchange()
                guard var all = try? exchange.receive(head, isLast: false) else { return }
                for _ in 0..<bytes { all.writeImmutableBuffer(exchange.receive(frame)) }
            }
        }
        #expect(fault == nil)
    }

    @Test("frames that are looked at for a GOAWAY", arguments: ["whole", "byte by byte"])
    func frames(_ reads: String) {
        let fault = Growth.fault(limit: 64 * 1024) { bytes in
            // PINGs, the shortest frames that are full.
            let frame: [UInt8] = [0, 0, 8, 0x06, 0, 0, 0, 0, 0] + [UInt8](repeating: 1, count: 8)
            let all = (0..<max(1, bytes / frame.count)).flatMap { _ in frame }
            let pieces = reads == "whole" ? [ByteBuffer(bytes: all)] : all.map { ByteBuffer(bytes: [$0]) }
            return {
                var finder = GoAwayFinder(behindPreface: false)
                for piece in pieces { #expect(finder.look(at: piece) == nil) }
            }
        }
        #expect(fault == nil)
    }
}
