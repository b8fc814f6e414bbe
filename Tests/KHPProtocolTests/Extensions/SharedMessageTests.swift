// One message on many connections: compressed once where that means the same to all, and otherwise by each for itself.

import KHPProtocol
import NIOCore
import TestSupport
import Testing

@Suite("A message for many connections")
struct SharedMessageTests {
    private static let text = String(repeating: "bid 1.0425 ask 1.0427 ", count: 20)

    private struct Row: CustomTestStringConvertible {
        /// The offers of the clients; an empty one for none.
        let offers: [String]
        var threshold = 64
        let encodings: Int

        var testDescription: String { self.offers.joined(separator: " | ") }
    }

    private static let rows = [
        Row(offers: ["server_no_context_takeover", "server_no_context_takeover"], encodings: 1),
        // The peer's own direction counts for nothing.
        Row(
            offers: ["server_no_context_takeover; client_no_context_takeover", "server_no_context_takeover"],
            encodings: 1
        ),
        Row(
            offers: ["server_no_context_takeover", "server_no_context_takeover; server_max_window_bits=9"],
            encodings: 2
        ),
        Row(offers: ["server_no_context_takeover", "", "*"], encodings: 1),
        Row(offers: ["*", "*"], encodings: 0),
        Row(offers: ["server_no_context_takeover", "server_no_context_takeover"], threshold: 10_000, encodings: 1),
    ]

    @Test("each gets the message, and those that are alike share what it was compressed to", arguments: rows)
    private func sharing(row: Row) throws {
        var deflate = PerMessageDeflate()
        deflate.threshold = row.threshold
        var pairs: [(server: WirePeer, client: WirePeer)] = []
        for offer in row.offers {
            let name = offer == "*" ? "permessage-deflate" : "permessage-deflate; \(offer)"
            let server = try WirePeer.server([deflate], offer: offer.isEmpty ? "x-other" : name)
            let client = try WirePeer.client(offer.isEmpty ? [] : [deflate], answer: server.extensionsField)
            pairs.append((server, client))
        }
        var frames: [[WireFrame]] = []
        for number in 0..<3 {
            let text = "\(number) " + Self.text
            let shared = SharedMessage(.text, ByteBuffer(string: text))
            for index in pairs.indices {
                // Between the shared ones each sends its own.
                let own = WebSocketMessage.text("\(index) " + Self.text)
                try pairs[index].server.send(own)
                try pairs[index].server.send(shared)
                let sent = pairs[index].server.takeFrames()
                if number == 2 { frames.append(Array(sent.suffix(1))) }
                pairs[index].client.feed(sent)
                #expect(pairs[index].client.takeMessages() == [own, .text(text)])
            }
            #expect(shared.encodings == row.encodings)
        }
        for (server, client) in pairs { #expect(server.closed == nil && client.closed == nil) }
        if row.encodings == 1, row.offers.allSatisfy({ $0.hasPrefix("server_no") }) {
            #expect(frames.allSatisfy { $0 == frames[0] })
            let isCompressed = (frames[0].first?.payload.count ?? .max) < Self.text.utf8.count / 2
            #expect(isCompressed == (row.threshold < 10_000))
        }
    }

    @Test("a client masks for itself what others have compressed")
    func masked() throws {
        var deflate = PerMessageDeflate()
        deflate.contextTakeover = false
        let shared = SharedMessage(.text, ByteBuffer(string: Self.text))
        for _ in 0..<2 {
            var client = try WirePeer.client([deflate], answer: "permessage-deflate; client_no_context_takeover")
            var server = try WirePeer.server([deflate], offer: "permessage-deflate; client_no_context_takeover")
            try client.send(shared)
            server.feed(client.takeFrames())
            #expect(server.takeMessages() == [.text(Self.text)])
        }
        #expect(shared.encodings == 1)
    }

    @Test("one that closes takes nothing, and spoils nothing for the others")
    func closed() throws {
        let offer = "permessage-deflate; server_no_context_takeover"
        let shared = SharedMessage(.text, ByteBuffer(string: Self.text))
        var closing = try WirePeer.server([PerMessageDeflate()], offer: offer)
        closing.close()
        #expect(throws: WebSocketError.self) { try closing.send(shared) }
        var open = try WirePeer.server([PerMessageDeflate()], offer: offer)
        try open.send(shared)
        #expect(open.takeFrames().count == 1)
    }
}
