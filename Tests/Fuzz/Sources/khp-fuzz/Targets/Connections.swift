// A whole connection in either role and every dialect, from each stage that a transcript leads to: bytes, cuts, time,
// the end of the stream and what an application does, in any order. It ends in bounded time, keeps a bounded number of
// bytes, fails with codes that are documented, and says nothing that the other side could not read.

import Foundation
import KHPProtocol
import KHPTesting
import NIOCore

extension FuzzTarget {
    static let clients = connections("clients", .client)
    static let servers = connections("servers", .server)

    private static func connections(_ name: String, _ role: Role) -> FuzzTarget {
        let stages = Stages.of(role)
        return FuzzTarget(name: name) { _ in
            stages.all.enumerated().flatMap { number, stage -> [[UInt8]] in
                let bytes = stage.play.scripted.prefix(2).flatMap { Array($0.readableBytesView) }
                let place: [UInt8] = [UInt8(number & 0xFF), UInt8(number >> 8)]
                return [bytes].deciding([place + [0, 0], place + [13, 5]])
            }
        } run: { input in
            var input = input
            let stage = stages.all[(input.choice(256) | input.choice(256) << 8) % stages.all.count]
            var cuts = input.cuts()
            let acts = input.cuts()
            let content = input.content

            // Whole, and cut. That may end differently, and rightly so: what an application decides between two reads
            // counts for the second (KHP-E3).
            for pieces in [content.isEmpty ? [] : [ByteBuffer(bytes: content)], cuts.pieces(of: content)] {
                var play = stage.play.copy()
                _ = play.takeOutput()
                for piece in pieces {
                    play.feed(piece)
                    check(play.heldBytes <= 65_536, "\(play.heldBytes) bytes are held")
                }
                finish(&play, stage)
            }

            // The same once more with an application and a clock.
            var busy = stage.play.copy()
            _ = busy.takeOutput()
            var deeds = acts
            for piece in cuts.pieces(of: content) {
                act(&busy, &deeds)
                busy.feed(piece)
                check(busy.heldBytes <= 1 << 21, "\(busy.heldBytes) bytes are held")
            }
            finish(&busy, stage)
        }
    }

    /// A deed of the application or the shell, which may come at any time.
    private static func act(_ play: inout ImprovisedPlay, _ deeds: inout Cuts) {
        switch Int.random(in: 0..<14, using: &deeds) {
        case 0: play.advance(by: .milliseconds(Int64.random(in: 1...20_000, using: &deeds)))
        case 1: play.act { connection, now in _ = try? connection.send(.text("hello wörld"), now: now) }
        case 2:
            let payload = ByteBuffer(repeating: 7, count: Int.random(in: 0...70_000, using: &deeds))
            play.act { connection, now in _ = try? connection.send(.binary(payload), now: now) }
        case 3: play.act { connection, now in _ = try? connection.ping(now: now) }
        case 4: play.act { connection, now in connection.setCongested(true, now: now) }
        case 5: play.act { connection, now in connection.setCongested(false, now: now) }
        case 6: play.act { connection, now in connection.readingIsPaused(now: now) }
        case 7: play.act { connection, now in connection.writesProgressed(now: now) }
        case 8 where Int.random(in: 0..<8, using: &deeds) == 0:
            play.act { connection, now in connection.close(code: .goingAway, reason: "bye", now: now) }
        case 9 where Int.random(in: 0..<16, using: &deeds) == 0: play.endInput()
        case 10 where Int.random(in: 0..<16, using: &deeds) == 0:
            let error = WebSocketError(.connectFailed, "The connection failed: reset.")
            play.act { connection, now in connection.transportFailed(error, now: now) }
        case 11:
            // All that the shell asks before it does anything.
            play.act { connection, _ in
                check(connection.stallLook > .zero && connection.bufferedBytes >= 0, "it is looked all the time")
                check(!connection.awaitsFirstByte || !connection.isSecure, "a server awaits an answer")
                check(connection.lastFailure.map { !$0.message.isEmpty } ?? true, "a failure without words")
                connection.releaseSpare()
            }
        default: break
        }
    }

    /// Without another byte it ends in bounded time, unless it is one of the old dialects and open, which have no ping, or
    /// waits for its caller, whose time is not the connection's.
    private static func finish(_ play: inout ImprovisedPlay, _ stage: Stages.Stage) {
        let mayStay = stage.dialect != .rfc6455 && play.isOpen || play.waitsForCaller
        check(play.hasEnded || play.hasDeadline || mayStay, "\(stage.name): nothing bounds it")
        for _ in 0..<8 where !play.hasEnded { play.advance(by: .seconds(60)) }
        check(play.hasEnded || mayStay, "\(stage.name): it is still there after minutes")
        guard let failure = play.failure else { return }
        check(stage.documented.contains(failure.code), "\(stage.name): \(failure)")
        for secret in ["welcome", "am9l"] {
            check(!failure.description.contains(secret), "\(stage.name): an error tells a secret: \(failure)")
        }
    }
}

/// The stages of all transcripts.
private final class Stages: @unchecked Sendable {
    struct Stage {
        var name: String
        var dialect: Dialect
        var play: ImprovisedPlay
        var documented: Set<WebSocketError.Code>
    }

    private static let client = Stages(.client)
    private static let server = Stages(.server)

    static func of(_ role: Role) -> Stages { role == .client ? self.client : self.server }

    private let role: Role
    private var made: [Stage]?

    private init(_ role: Role) { self.role = role }

    /// Made with the first input: only one of the two roles is ever used.
    var all: [Stage] {
        if let made { return made }
        // Freed before the leak check at the exit, which cannot follow a reference in an enum: Swift keeps the case in
        // the upper bits of the pointer.
        atexit {
            Stages.client.made = nil
            Stages.server.made = nil
        }
        let stages = self.make()
        self.made = stages
        return stages
    }

    /// The codes that the doing of a peer can lead to.
    private static let documented: [Role: Set<WebSocketError.Code>] = [
        .client: [
            .timeout, .openingRefused, .openingInvalid, .extendedRequired, .extendedRefused, .extendedInvalid,
            .closedDuringHandshake, .redirectRefused, .redirectMethod, .authenticationFailed,
            .proxyAuthenticationRequired, .protocolViolation, .messageTooBig, .limitExceeded, .closed, .connectFailed,
        ],
        .server: [
            .timeout, .connectFailed, .extendedInvalid, .closedDuringHandshake, .protocolViolation, .messageTooBig,
            .limitExceeded,
            .closed,
        ],
    ]

    private func make() -> [Stage] {
        guard let seeds = try? Seeds() else { fatalError("the transcripts cannot be read") }
        var stages: [Stage] = []
        for transcript in seeds.transcripts where transcript.roles.contains(self.role) {
            for read in 0..<6 {
                guard let play = try? ImprovisedPlay(transcript, role: self.role, read: read) else { break }
                stages.append(
                    Stage(
                        name: "\(transcript.name) \(self.role) \(read)",
                        dialect: transcript.dialect,
                        play: play,
                        documented: Self.documented[self.role] ?? []
                    )
                )
            }
        }
        return stages
    }
}
