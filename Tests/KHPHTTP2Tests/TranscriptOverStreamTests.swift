// The conversations of Specs/transcripts on a stream of HTTP/2: the scripted side's heads go through both translations, the
// other side is ours, and everything inside the tunnel is the same to the byte.

import Foundation
import KHPProtocol
import KHPTesting
import NIOCore
import NIOHPACK
import Testing

@testable import KHPHTTP2

@Suite("The transcripts over HTTP/2")
struct TranscriptOverStreamTests {
    struct Performance: Sendable, CustomTestStringConvertible {
        let transcript: Transcript
        let role: Role
        var testDescription: String { "\(self.transcript.name) against the \(self.role.rawValue)" }
    }

    /// All in which no opening is about the bytes of HTTP/1.1.
    static let performances: [Performance] = {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Specs/transcripts")
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
        return names.filter { $0.hasSuffix(".khp") }.flatMap { name -> [Performance] in
            guard let text = try? String(contentsOf: folder.appending(path: name), encoding: .utf8),
                let transcript = try? Transcript(text, name: name), transcript.dialect == .rfc6455
            else { return [] }
            return transcript.roles.compactMap { role in
                Self.onStream(transcript, against: role).map { Performance(transcript: $0, role: role) }
            }
        }
    }()

    /// `nil` where an opening has no counterpart: more than one on a connection, one that is no valid request or that
    /// proves itself wrongly, bytes in its place.
    private static func onStream(_ transcript: Transcript, against role: Role) -> Transcript? {
        var steps: [Transcript.Step] = []
        var asked = ClientExchange()
        var served = ServerExchange()
        var requests = 0
        var answers = 0
        for step in transcript.steps {
            var step = step
            switch step.action {
            case .connect:
                (asked, served, requests, answers) = (ClientExchange(), ServerExchange(), 0, 0)
            case .does(.client, .opening(let head)):
                requests += 1
                guard requests == 1, let (sent, received) = Self.request(head, &asked, &served) else { return nil }
                step = .init(line: step.line, action: .does(.client, .opening(role == .client ? sent : received)))
            case .does(.server, .opening(let head)):
                answers += 1
                guard answers == 1, let (sent, received) = Self.answer(head, &served, &asked) else { return nil }
                step = .init(line: step.line, action: .does(.server, .opening(role == .server ? sent : received)))
            case .does(_, .raw) where answers == 0:
                return nil
            case .does(.server, .message(let kind, let payload)):
                let bytes = Self.withoutProof(payload)
                if bytes != payload, !Self.provesItself(payload) { return nil }
                step = .init(line: step.line, action: .does(.server, .message(kind, bytes)))
            default:
                break
            }
            steps.append(step)
        }
        return requests + answers > 0 ? transcript.onStream(steps) : nil
    }

    /// The request as a client says it, and as the server gets it.
    private static func request(
        _ head: ByteBuffer,
        _ asked: inout ClientExchange,
        _ served: inout ServerExchange
    ) -> (ByteBuffer, ByteBuffer)? {
        var input = head
        var server = OpeningServer()
        guard let opening = try? server.receive(&input), opening.version == 13, !opening.spellsUpgradeOldStyle,
            input.readableBytes == 0,
            let piece = try? asked.send(head).first, case .head(let fields, false) = piece,
            let received = try? served.receive(fields, isLast: false)
        else { return nil }
        return (Self.withoutProof(head), received)
    }

    /// The answer as a server says it, and as the client gets it.
    private static func answer(
        _ head: ByteBuffer,
        _ served: inout ServerExchange,
        _ asked: inout ClientExchange
    ) -> (ByteBuffer, ByteBuffer)? {
        let text = String(buffer: head)
        if text.hasPrefix("HTTP/1.1 101") {
            for line in [
                "Sec-WebSocket-Accept: \(Transcript.Constants.accept)\r\n", "Upgrade: ", "Connection: Upgrade\r\n",
            ] {
                guard text.contains(line) else { return nil }
            }
        }
        guard let pieces = try? served.send(head), !pieces.isEmpty else { return nil }
        var received = ByteBuffer()
        for piece in pieces {
            switch piece {
            case .head(let fields, let isLast):
                guard var bytes = try? asked.receive(fields, isLast: isLast) else { return nil }
                received.writeBuffer(&bytes)
            case .content(let bytes, _):
                received.writeImmutableBuffer(asked.receive(bytes))
            }
        }
        return (Self.withoutProof(head), received)
    }

    private static func provesItself(_ head: ByteBuffer) -> Bool {
        String(buffer: head).contains("Sec-WebSocket-Accept: \(Transcript.Constants.accept)\r\n")
    }

    private static func withoutProof(_ head: ByteBuffer) -> ByteBuffer {
        var text = String(buffer: head)
        guard text.hasPrefix("HTTP/1.1 101") || text.hasPrefix("GET ") else { return head }
        text = text.replacing(/Sec-WebSocket-(Key|Accept): [^\r]*\r\n/, with: "")
        return ByteBuffer(string: text)
    }

    @Test func mostAreThere() {
        #expect(Self.performances.count >= 270)
    }

    @Test(arguments: performances)
    func plays(_ performance: Performance) throws {
        try performance.transcript.play(against: performance.role)
        try performance.transcript.play(against: performance.role, reads: .pieces(of: 7), isObserved: true)
    }
}
