// Every stage of a client's connection × every way in which the peer goes: the error names the event and the stage
// (KHP-E12, D16). Before the first byte of an answer a reset means that nothing answered; later a handshake was broken
// off.

import KHPProtocol
import NIOCore
import Testing

@Suite("The peer goes, in every stage")
struct LostConnectionTests {
    enum Stage: CaseIterable {
        case openingSilent, openingBegun, openingReplayBegun
        case extendedSilent, extendedBegun, accepted, challenged
        case open, closing

        func run() throws -> ClientRun {
            switch self {
            case .openingSilent:
                return try ClientRun()
            case .openingBegun:
                var run = try ClientRun()
                run.feed("HTTP/1.1 10")
                return run
            case .openingReplayBegun:
                var run = try ClientRun()
                run.feed("HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n")
                let runSent = run.answerOpening("Basic eA==")
                #expect(runSent)
                run.feed("HTTP/1.1 10")
                return run
            case .extendedSilent:
                return try ClientRun.inExtended()
            case .extendedBegun:
                var run = try ClientRun.inExtended()
                run.say("HTTP/1.1 10")
                return run
            case .accepted:
                var run = try ClientRun.inExtended()
                run.say("HTTP/1.1 202 Accepted\r\n\r\n")
                return run
            case .challenged:
                var run = try ClientRun.inExtended()
                run.say("HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n")
                #expect(run.challenge?.layer == .extended)
                return run
            case .open:
                return try ClientRun.open()
            case .closing:
                var run = try ClientRun.open()
                run.close()
                return run
            }
        }

        var phase: WebSocketError.Phase {
            switch self {
            case .openingSilent, .openingBegun, .openingReplayBegun: .opening
            case .extendedSilent, .extendedBegun, .accepted, .challenged: .extended
            case .open: .open
            case .closing: .closing
            }
        }
    }

    enum End: CaseIterable {
        case reset, end, halfClose, silence
    }

    private static func code(_ stage: Stage, _ end: End) -> WebSocketError.Code {
        switch (stage, end) {
        case (.openingSilent, .reset): .connectFailed
        case (.open, .reset), (.closing, .reset): .connectFailed
        case (.closing, _), (.open, .end), (.open, .halfClose): .closed
        case (_, .silence): .timeout
        default: .closedDuringHandshake
        }
    }

    @Test("reset, end, half-close, silence", arguments: Stage.allCases, End.allCases)
    func table(_ stage: Stage, _ end: End) throws {
        var run = try stage.run()
        #expect(run.isWaiting)
        switch end {
        case .reset: run.reset()
        case .end: run.endTransport()
        case .halfClose: run.endInput()
        case .silence: run.advance(to: 200)
        }
        if stage == .challenged, end == .silence {
            // No clock of the connection's runs: ChallengeDialogue keeps the time of whoever is asked (threat E12).
            #expect(run.isWaiting)
            return
        }
        let isOpen = stage == .open || stage == .closing
        let error = isOpen ? run.closed?.error : run.failure
        #expect(error?.code == Self.code(stage, end))
        #expect(error?.phase == stage.phase)
        #expect(error?.url != nil || isOpen)
        #expect(run.closed != nil)
        if end == .reset { #expect(error?.message.contains("connection reset by the peer") == true) }
        if error?.code == .closedDuringHandshake {
            #expect(error?.message.contains("\(stage.phase) handshake") == true)
        }
    }

    @Test("between a 401 of the opening and its answer the end says nothing: the answer goes out afresh (D18)")
    func replay() throws {
        let ends: [(inout ClientRun) -> Void] = [{ $0.reset() }, { $0.endInput() }, { $0.endTransport() }]
        for end in ends {
            var run = try ClientRun()
            run.feed("HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n")
            end(&run)
            #expect(run.failure == nil)
            #expect(run.closed != nil)
            let runSent = run.answerOpening("Basic eA==")
            #expect(!runSent)
            var replayed = try ClientRun()
            replayed.feed("HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n")
            let replayedSent = replayed.answerOpening("Basic eA==")
            #expect(replayedSent)
            end(&replayed)
            #expect(replayed.failure == nil)
            #expect(replayed.hop?.kind == .replayLost)
        }
    }
}
