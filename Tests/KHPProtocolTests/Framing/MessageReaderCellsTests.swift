// Each cell of the table in MessageReader's header.

import KHPProtocol
import NIOCore
import Testing

@Suite("Each cell of the reader's table")
struct MessageReaderCellsTests {
    private enum State: CaseIterable { case start, fragmented, payload, payloadOfFragment, finished }

    private enum Event: CaseIterable { case text, binary, continuation, last, payload, rest, ping, pong, close }

    /// The state behind an event.
    private enum Standing { case start, unfinished, finished }

    private static func frame(_ first: UInt8, _ payload: [UInt8]) -> [UInt8] {
        [first, UInt8(payload.count)] + payload
    }

    /// The bytes that lead to a state: a frame of five of which two have come, the last one or not.
    private static func way(to state: State) -> [UInt8] {
        switch state {
        case .start: []
        case .fragmented: Self.frame(0x02, [1, 2])
        case .payload: [0x82, 5, 1, 2]
        case .payloadOfFragment: [0x02, 5, 1, 2]
        case .finished: Self.frame(0x88, [])
        }
    }

    private static func bytes(of event: Event) -> [UInt8] {
        switch event {
        case .text: Self.frame(0x01, [0x41])
        case .binary: Self.frame(0x82, [1])
        case .continuation: Self.frame(0x00, [3])
        case .last: Self.frame(0x80, [4])
        case .payload: [3]
        case .rest: [3, 4, 5]
        case .ping: Self.frame(0x89, [7])
        case .pong: Self.frame(0x8A, [8])
        case .close: Self.frame(0x88, [0x03, 0xE8])
        }
    }

    private struct Outcome: Equatable {
        var told: [String] = []
        var standing = Standing.start
        var violation: WebSocketCloseCode?

        init(_ standing: Standing, _ told: String..., violation: WebSocketCloseCode? = nil) {
            self.told = told
            self.standing = standing
            self.violation = violation
        }
    }

    private static func name(_ event: InboundFrameEvent) -> String {
        switch event {
        case .message(_, let payload, _): "message of \(payload.readableBytes)"
        case .chunk(_, let payload, let isFirst, let isLast, _):
            "chunk of \(payload.readableBytes)\(isFirst ? ", first" : "")\(isLast ? ", last" : "")"
        case .ping: "ping"
        case .pong: "pong"
        case .close: "close"
        case .dropped: "dropped"
        }
    }

    private static func outcome(_ state: State, _ event: Event, _ mode: MessageReader.Mode) -> Outcome {
        var reader = MessageReader(role: .client, mode: mode)
        var input = ByteBuffer(bytes: Self.way(to: state))
        while (try? reader.next(&input)) ?? nil != nil {}
        var outcome = Outcome(.start)
        input.writeBytes(Self.bytes(of: event))
        do {
            while let event = try reader.next(&input) { outcome.told.append(Self.name(event)) }
        } catch {
            outcome.violation = error.closeCode
        }
        outcome.standing = reader.isFinished ? .finished : reader.unfinishedMessage == nil ? .start : .unfinished
        return outcome
    }

    @Test("whole messages")
    func whole() {
        for state in State.allCases {
            for event in Event.allCases {
                let expected: Outcome? =
                    switch (state, event) {
                    case (.start, .text): Outcome(.unfinished)
                    case (.start, .binary): Outcome(.start, "message of 1")
                    case (.start, .continuation), (.start, .last): Outcome(.finished, violation: .protocolError)
                    case (.start, .ping): Outcome(.start, "ping")
                    case (.start, .pong): Outcome(.start, "pong")
                    case (.start, .close), (.fragmented, .close): Outcome(.finished, "close")
                    case (.fragmented, .text), (.fragmented, .binary): Outcome(.finished, violation: .protocolError)
                    case (.fragmented, .continuation): Outcome(.unfinished)
                    case (.fragmented, .last): Outcome(.start, "message of 3")
                    case (.fragmented, .ping): Outcome(.unfinished, "ping")
                    case (.fragmented, .pong): Outcome(.unfinished, "pong")
                    case (.payload, .payload), (.payloadOfFragment, .payload), (.payloadOfFragment, .rest):
                        Outcome(.unfinished)
                    case (.payload, .rest): Outcome(.start, "message of 5")
                    case (.finished, _): Outcome(.finished)
                    // Bytes without a header are none of a state between two frames, and inside one all is payload.
                    case (.start, .payload), (.start, .rest), (.fragmented, .payload), (.fragmented, .rest),
                        (.payload, _),
                        (.payloadOfFragment, _):
                        nil
                    }
                guard let expected else { continue }
                #expect(Self.outcome(state, event, .whole) == expected, "\(state) × \(event)")
            }
        }
    }

    @Test("messages in pieces")
    func streaming() {
        let rows: [(State, Event, Outcome)] = [
            (.start, .text, Outcome(.unfinished, "chunk of 1, first")),
            (.start, .binary, Outcome(.start, "chunk of 1, first, last")),
            (.start, .continuation, Outcome(.finished, violation: .protocolError)),
            (.fragmented, .binary, Outcome(.finished, violation: .protocolError)),
            (.fragmented, .continuation, Outcome(.unfinished, "chunk of 1")),
            (.fragmented, .last, Outcome(.start, "chunk of 1, last")),
            (.fragmented, .ping, Outcome(.unfinished, "ping")),
            (.fragmented, .close, Outcome(.finished, "close")),
            (.payload, .payload, Outcome(.unfinished, "chunk of 1")),
            (.payload, .rest, Outcome(.start, "chunk of 3, last")),
            (.payloadOfFragment, .rest, Outcome(.unfinished, "chunk of 3")),
            (.finished, .binary, Outcome(.finished)),
        ]
        for (state, event, expected) in rows {
            #expect(Self.outcome(state, event, .streaming) == expected, "\(state) × \(event)")
        }
    }

    @Test("a limit that is broken is a violation too, in each state that a frame begins in")
    func limits() {
        for state in [State.start, .fragmented] {
            var limits = MessageLimits()
            limits.messageBytes = 4
            var reader = MessageReader(role: .client, limits: limits)
            var input = ByteBuffer(bytes: Self.way(to: state) + [state == .start ? 0x82 : 0x80, 5])
            #expect(throws: FrameViolation.self) { while try reader.next(&input) != nil {} }
            #expect(reader.isFinished)
        }
    }
}
