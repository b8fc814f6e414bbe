import KHPProtocol
import NIOCore
import Testing

@testable import KHPTesting

// A recorded conversation reads as a transcript, and plays against the client that said it.
struct TranscriptRecorderTests {
    @Test("heads: constants in the place of what is random; a wrong accept value stays")
    func heads() {
        var text = TranscriptRecorder()
        let request = "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        #expect(
            text.step(for: .openingRequest(head: request))
                == "C opening\n  GET / HTTP/1.1\n  Host: a\n  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n  \n"
        )
        func answer(_ accept: String) -> String {
            text.step(
                for: .openingResponse(head: "HTTP/1.1 101 X\r\nSec-WebSocket-Accept: \(accept)\r\n\r\n", status: 101)
            )
        }
        let right = AcceptKey.accept(for: "AAAAAAAAAAAAAAAAAAAAAA==")
        #expect(
            answer(right) == "S opening\n  HTTP/1.1 101 X\n  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n  \n"
        )
        #expect(answer("wrong").contains("Sec-WebSocket-Accept: wrong\n"))
    }

    /// The steps that are written of these events, read again.
    private static func steps(_ events: [ConnectionEvent]) throws -> [Transcript.Action] {
        var text = TranscriptRecorder()
        let steps = events.map { text.step(for: $0) }.joined()
        return try Transcript("title: x\n\n" + steps, name: "x").steps.map(\.action)
    }

    @Test(
        "an entity is read again as it came, whatever it holds, and is never a step",
        arguments: [
            "one\r\ntwo\r\n", "\rS eof\r", "a\n\n\nS eof\n", "\n", "\r\n", "\\r\\n \\", "C opening\n  GET / HTTP/1.1\n",
            "\u{85}S eof",
            "\u{2028}S eof\u{2029}", "\u{B}\u{C}S eof", "\u{0}\u{7F}\u{1B}[31m", "==\n  ==\n\n~ 3s", "grün 🙂",
            " leading", "trailing ",
        ]
    )
    func entities(_ entity: String) throws {
        let head = "HTTP/1.1 403 Forbidden\r\nContent-Length: \(entity.utf8.count)\r\n\r\n"
        let event = ConnectionEvent.extendedResponse(
            head: head,
            status: 403,
            action: .close,
            body: ByteBuffer(string: entity)
        )
        let steps = try Self.steps([event, .frameSent(FrameInfo(kind: .text, payload: ByteBuffer(string: entity)))])
        #expect(
            steps == [
                .does(.server, .message(.binary, ByteBuffer(string: head + entity))),
                .does(.client, .message(.text, ByteBuffer(string: entity))),
            ]
        )
    }

    @Test("bytes that are no text are read again as well")
    func bytes() throws {
        let bytes = ByteBuffer(bytes: Array(0...255) + [0x0D, 0x0A])
        for (kind, message) in [(FrameInfo.Kind.binary, MessageKind.binary)] {
            let steps = try Self.steps([.frameReceived(FrameInfo(kind: kind, payload: bytes))])
            #expect(steps == [.does(.server, .message(message, bytes))])
        }
        let head = "HTTP/1.1 201 Created\r\nContent-Length: \(bytes.readableBytes)\r\n\r\n"
        let steps = try Self.steps([.extendedResponse(head: head, status: 201, action: .complete, body: bytes)])
        var expected = ByteBuffer(string: head)
        expected.writeImmutableBuffer(bytes)
        #expect(steps == [.does(.server, .message(.binary, expected))])
    }

    @Test(
        "a balancer's URL is read again as it came and writes no step",
        arguments: [
            "ws://h/\nS eof", "ws://h/a b", "ws://h/\r\n~ 3s", "\\", "ws://h/\u{85}x", "ws://h/\tx", "ws://h/ä", " ",
            "\\x41",
        ]
    )
    func balancer(_ url: String) throws {
        let steps = try Self.steps([.kaazingLegacy(.redirect(to: url))])
        #expect(steps == [.does(.server, .legacy(.redirect(to: url)))])
    }

    @Test("the fields at its head stay lines of their own")
    func fieldsOfTheHead() throws {
        let text = TranscriptRecorder.Head.lines([
            ("title", "a\nb: c\n\nS eof"), ("client", "ws://h/\r\nroles: server"),
        ])
        #expect(text.split(separator: "\n", omittingEmptySubsequences: false).count == 4)
        let transcript = try Transcript(text, name: "x")
        #expect(transcript.steps.isEmpty)
        #expect(transcript.fields.map(\.name) == ["title", "client"])
    }

    @Test("a self-signed certificate is PEM, and a new one each time")
    func certificate() throws {
        let first = try SelfSignedCertificate()
        let text = String(decoding: first.certificate, as: UTF8.self)
        #expect(text.hasPrefix("-----BEGIN CERTIFICATE-----"))
        #expect(String(decoding: first.privateKey, as: UTF8.self).hasPrefix("-----BEGIN PRIVATE KEY-----"))
        #expect(try SelfSignedCertificate().privateKey != first.privateKey)
    }
}
