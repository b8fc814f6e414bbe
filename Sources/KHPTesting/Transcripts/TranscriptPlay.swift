// One performance of a transcript: goes through the script of one role and compares. A performance is continued from the
// same place with every cut, each time in a copy.

import KHPProtocol
import NIOCore

struct TranscriptPlay {
    private enum Subject {
        case client(ClientUnderTest)
        case server(ServerUnderTest)
    }

    private let script: TranscriptScript
    private let expectation: TranscriptExpectation?
    private var subject: Subject
    /// The next operation.
    private var index = 0
    private var lastAnswer: Int?
    /// `true` once the script has told of an end of this connection's stream.
    private var endIsTold = false

    init(
        _ script: TranscriptScript,
        extensions: [any WebSocketExtension],
        isObserved: Bool
    ) throws(TranscriptError) {
        self.script = script
        let transcript = script.transcript
        let field = transcript.fields.first { $0.name == "\(script.role.rawValue).expect" }
        self.expectation = if let field { try TranscriptExpectation(field, in: transcript) } else { nil }
        var settings = ConnectionSettings()
        settings.date = { Transcript.Constants.date }
        settings.observation = isObserved ? .everything : .nothing
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        switch script.role {
        case .client:
            self.subject = .client(
                try ClientUnderTest(transcript, extensions: extensions, settings: settings, now: now)
            )
        case .server:
            self.subject = .server(
                try ServerUnderTest(transcript, extensions: extensions, settings: settings, now: now)
            )
        }
    }

    /// Goes on from the same place.
    func copy() -> TranscriptPlay {
        var copy = self
        switch self.subject {
        case .client(let client): copy.subject = .client(client.copy())
        case .server(let server): copy.subject = .server(server.copy())
        }
        return copy
    }

    // MARK: Going through

    /// Plays what is left with each read as `reads` says.
    mutating func run(_ reads: Transcript.Reads) throws(TranscriptError) {
        var offset = 0
        while self.index < self.script.operations.count {
            let (line, operation) = self.script.operations[self.index]
            if case .feed(let bytes) = operation {
                self.index += 1
                self.feed(bytes, from: offset, reads)
                offset += bytes.readableBytes
            } else {
                try self.perform(operation, line)
                self.index += 1
            }
        }
        try self.finish()
    }

    /// Plays what is left once for each place where it can be cut in two.
    /// - Returns: how many times that was.
    mutating func runAtEverySplit() throws(TranscriptError) -> Int {
        var count = 0
        var offset = 0
        while self.index < self.script.operations.count {
            let (line, operation) = self.script.operations[self.index]
            if case .feed(let bytes) = operation {
                for split in 1..<max(bytes.readableBytes, 1) {
                    var other = self.copy()
                    other.index += 1
                    other.feed(bytes, from: 0, .cut(at: split))
                    do throws(TranscriptError) {
                        try other.run(.whole)
                    } catch {
                        var error = error
                        error.reads = .cut(at: offset + split)
                        throw error
                    }
                    count += 1
                }
                self.feed(bytes, from: 0, .whole)
                offset += bytes.readableBytes
            } else {
                try self.perform(operation, line)
            }
            self.index += 1
        }
        return count
    }

    /// Plays up to, and without, the read of this number.
    /// - Returns: `false` where there is none.
    mutating func run(untilFeed number: Int) throws(TranscriptError) -> Bool {
        var count = 0
        while self.index < self.script.operations.count {
            let (line, operation) = self.script.operations[self.index]
            if case .feed(let bytes) = operation {
                if count == number { return true }
                count += 1
                self.feed(bytes, from: 0, .whole)
            } else {
                try self.perform(operation, line)
            }
            self.index += 1
        }
        return false
    }

    /// The bytes of the scripted side from here on, read by read.
    var remainingFeeds: [ByteBuffer] {
        self.script.operations[self.index...].compactMap { item in
            if case .feed(let bytes) = item.operation { bytes } else { nil }
        }
    }

    private mutating func feed(_ bytes: ByteBuffer, from offset: Int, _ reads: Transcript.Reads) {
        var bytes = bytes
        switch reads {
        case .whole:
            break
        case .cut(let place):
            if place > offset, let first = bytes.readSlice(length: min(place - offset, bytes.readableBytes)) {
                self.with { $0.feed(first) }
            }
        case .pieces(let size):
            while let piece = bytes.readSlice(length: min(max(size, 1), bytes.readableBytes)), piece.readableBytes > 0 {
                self.with { $0.feed(piece) }
            }
        }
        if bytes.readableBytes > 0 { self.with { $0.feed(bytes) } }
    }

    private mutating func perform(_ operation: TranscriptScript.Operation, _ line: Int) throws(TranscriptError) {
        switch operation {
        case .feed:
            break
        case .expect(let bytes, let deed):
            try self.expect(bytes, deed, line)
        case .peerEnds:
            self.endIsTold = true
            self.with { $0.endInput() }
        case .ends:
            self.endIsTold = true
            // Where there is no closing frame, the end of the stream is the application's close.
            if self.script.transcript.dialect.closing == .none { _ = try self.act(.close(.noStatus), line) }
            guard self.with({ $0.hasEnded }) else { throw self.error(line, "the stream has not ended") }
        case .wait(let amount):
            try self.expectSilence(line)
            self.with { $0.advance(by: amount) }
        case .connect(let url):
            try self.expectSilence(line)
            self.endIsTold = false
            guard case .client(var client) = self.subject else { return }
            if let wrong = client.connect(to: url) { throw self.error(line, wrong) }
            self.subject = .client(client)
        }
    }

    // MARK: Comparing

    private mutating func expect(
        _ bytes: ByteBuffer,
        _ deed: Transcript.Event,
        _ line: Int
    ) throws(TranscriptError) {
        while self.with({ $0.output.readableBytes }) < bytes.readableBytes {
            if self.proceed() { continue }
            guard try self.act(deed, line) else { break }
        }
        let said = self.with { $0.output.readSlice(length: min($0.output.readableBytes, bytes.readableBytes)) }
        guard let said, said == bytes else {
            throw self.error(line, "\(deed.words) is due, and there is \(said?.printable ?? "nothing")")
        }
        if case .opening(let head) = deed { self.noteAnswer(head) }
        if case .message(_, let payload) = deed { self.noteAnswer(payload) }
    }

    /// Decides the matter that waits, since a step is reached and nothing else is to be said.
    mutating func proceed() -> Bool {
        switch self.subject {
        case .client(var client):
            let done = client.proceed()
            self.subject = .client(client)
            return done
        case .server(var server):
            let done = server.proceed()
            self.subject = .server(server)
            return done
        }
    }

    /// Lets the application of the side under test send or close, once the handshakes are over.
    ///
    /// - Returns: `false` where it has nothing to do or nothing came of it.
    private mutating func act(_ deed: Transcript.Event, _ line: Int) throws(TranscriptError) -> Bool {
        let outcome: Result<Bool, WebSocketError> = self.with { driven in
            guard driven.opened != nil, !driven.hasEnded else { return .success(false) }
            do throws(WebSocketError) {
                switch deed {
                case .message(let kind, let payload): try driven.connection.send(kind, payload, now: driven.now)
                case .close(let code): driven.connection.close(code: code, reason: "", now: driven.now)
                default: return .success(false)
                }
            } catch {
                return .failure(error)
            }
            let before = driven.output.readableBytes
            driven.run()
            return .success(driven.output.readableBytes > before)
        }
        switch outcome {
        case .success(let said): return said
        case .failure(let error): throw self.error(line, "the application cannot do this: \(error)")
        }
    }

    private mutating func noteAnswer(_ bytes: ByteBuffer) {
        guard self.script.role == .server, bytes.readableBytesView.starts(with: "HTTP/1.1 ".utf8) else { return }
        self.lastAnswer = bytes.getString(at: bytes.readerIndex + 9, length: 3).flatMap { Int($0) }
    }

    private mutating func expectSilence(_ line: Int) throws(TranscriptError) {
        let rest = self.with { $0.output }
        guard rest.readableBytes == 0 else { throw self.error(line, "more was said: \(rest.printable)") }
    }

    private mutating func finish() throws(TranscriptError) {
        try self.expectSilence(0)
        if self.with({ $0.hasEnded }), !self.endIsTold { throw self.error(0, "the stream has ended") }
        let outcome: TranscriptOutcome
        switch self.subject {
        case .client(var client): outcome = client.finish()
        case .server(let server): outcome = server.outcome(lastAnswer: self.lastAnswer)
        }
        if let expectation, let wrong = expectation.mismatch(outcome) { throw self.error(expectation.line, wrong) }
        if self.expectation?.kind == .open, let expected = self.script.applicationMessages {
            let received = self.with { $0.received }
            guard received.elementsEqual(expected, by: { $0.kind == $1.0 && $0.payload == $1.1 }) else {
                throw self.error(0, "the application got \(received.count) messages, not the \(expected.count) sent")
            }
        }
    }

    mutating func with<Result>(_ body: (DrivenConnection) -> Result) -> Result {
        switch self.subject {
        case .client(var client):
            defer { self.subject = .client(client) }
            return client.withConnection(body)
        case .server(var server):
            defer { self.subject = .server(server) }
            return server.withConnection(body)
        }
    }

    private func error(_ line: Int, _ message: String) -> TranscriptError {
        TranscriptError(self.script.transcript.name, line, "\(self.script.role.rawValue): \(message)")
    }
}
