// Extensions on an open connection: what inflates stays within its room and gets on, what goes out comes in again, and
// copies share nothing.

import KHPProtocol
import NIOCore

extension FuzzTarget {
    static let inflate = FuzzTarget(name: "inflate") { seeds in
        try seeds.hexadecimal(in: "deflate.json", keys: ["messages"])
            .deciding([[0, 0, 0, 0, 0], [1, 1, 1, 3, 9], [2, 0, 2, 0, 1], [3, 1, 1, 2, 50]])
    } run: { input in
        var input = input
        let answers = [
            "", "server_no_context_takeover; client_no_context_takeover", "server_max_window_bits=9",
            "client_max_window_bits=8; server_no_context_takeover",
        ]
        let answer = answers[input.choice(answers.count)]
        let role: Role = input.flag() ? .client : .server
        let room = [65_536, 7, 1][input.choice(3)]
        let boundaries = input.byte()
        var cuts = input.cuts()
        let element = answer.isEmpty ? "permessage-deflate" : "permessage-deflate; \(answer)"
        guard let parameters = try? parseExtensions([element]).first?.parameters,
            let transform = PerMessageDeflate().makeFrameTransform(role: role, parameters: parameters)
        else { return check(false, "\(element) is our own") }

        // One message, or some, which may build on each other.
        var messages: [[UInt8]] = []
        var rest = input.content[...]
        var lengths = Cuts(seed: boundaries)
        repeat {
            let count = boundaries == 0 ? rest.count : Int.random(in: 0...rest.count, using: &lengths)
            messages.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        } while !rest.isEmpty && messages.count < 8

        var whole = Inflation(transform, room: 65_536)
        var cut = Inflation(transform, room: room)
        for message in messages {
            // A copy that goes on does not disturb the original.
            var copy = whole.copy()
            whole.receive([ByteBuffer(bytes: message)])
            copy.receive(cuts.pieces(of: Array(message.reversed())))
            cut.receive(cuts.pieces(of: message))
            if whole.isCutShort || cut.isCutShort { return }
            check(whole.outputs == cut.outputs, "whole it gives \(whole.outputs), in pieces \(cut.outputs)")
            if whole.hasFailed { return }
        }
        Self.roundTrip(messages, parameters, &cuts)
    }

    /// One end inflates what the other end has deflated.
    private static func roundTrip(_ messages: [[UInt8]], _ parameters: ExtensionParameters, _ cuts: inout Cuts) {
        var deflate = PerMessageDeflate()
        deflate.threshold = 0
        guard var sender = deflate.makeFrameTransform(role: .server, parameters: parameters),
            let receiver = deflate.makeFrameTransform(role: .client, parameters: parameters)
        else { return }
        var inflation = Inflation(receiver, room: 65_536)
        for (index, message) in messages.enumerated() {
            let pieces = cuts.pieces(of: message)
            var frames: [ByteBuffer] = []
            var isCompressed = false
            for (number, bytes) in (pieces.isEmpty ? [ByteBuffer()] : pieces).enumerated() {
                var piece = MessagePiece(
                    .binary,
                    bytes,
                    isFirst: number == 0,
                    isLast: number >= pieces.count - 1
                )
                var frame = ByteBuffer()
                guard (try? sender.outbound(&piece, into: &frame)) != nil else {
                    return check(false, "it cannot deflate")
                }
                if number == 0 { isCompressed = piece.reservedBits.contains(.rsv1) }
                frames.append(frame)
            }
            guard isCompressed else {
                check(frames.map { Array($0.readableBytesView) } == [message], "what is not compressed is changed")
                inflation.outputs.append(message)
                continue
            }
            inflation.receive(frames)
            check(inflation.outputs[index] == message, "\(message) comes back as \(inflation.outputs[index])")
        }
    }

    static let controlMessages = FuzzTarget(name: "control-messages") { _ in
        let control = "\u{1}\u{1}\u{1}\u{2}"
        return [
            "hello\n\(control)\n\(control)\nx", "\(control)\u{9}\0\nhello\n\(control)\u{A}\0",
            "\(control)more\n\u{1}\u{1}\u{1}",
            "\(control)\u{1}/path?a=b\n\(control)\u{1}//x",
        ].map { Array($0.utf8) }.deciding([[0], [1]])
    } run: { input in
        var input = input
        let paths = Paths()
        let isPing = input.flag()
        let item: any WebSocketExtension =
            isPing ? KaazingPingPong() : KaazingHTTPRevalidate { paths.take($0) }
        guard let parameters = try? parseExtensions(["x; 01010102"]).first?.parameters,
            let url = try? WebSocketURL("ws://localhost/echo")
        else { return check(false, "these are our own") }
        let now = NIODeadline.uptimeNanoseconds(1_000_000_000)
        let agreed = [NegotiatedExtension(name: item.name, parameters: parameters, layer: .opening)]
        func stack(_ role: Role) -> ExtensionStack {
            let stack = ExtensionStack(role: role, now: now)
            stack.add(agreed, from: [item])
            try? stack.opened(url: url, now: now)
            return stack
        }

        // An application may say anything, and it arrives as it is.
        let (sender, receiver) = (stack(.server), stack(.client))
        var arrived: [String] = []
        for line in input.lines {
            guard (try? sender.outbound(.text(line), now: now, received: now)) != nil else {
                return check(false, "an application's message is refused")
            }
            for case .message(let message) in sender.takeOutgoing() {
                guard let message = try? receiver.inbound(message, now: now, received: now) else { continue }
                if case .text(let text) = message { arrived.append(text) }
            }
        }
        check(arrived == input.lines, "\(input.lines) arrives as \(arrived)")
        check(paths.requests.isEmpty, "an application's message asks for re-validation")

        // A peer may say anything too.
        let victim = stack(.client)
        for line in input.lines {
            guard (try? victim.inbound(.text(line), now: now, received: now)) != nil else { break }
            check(victim.takeOutgoing().count <= 1, "one message has several answers")
        }
        for request in paths.requests {
            check(request.path.hasPrefix("/") && !request.path.hasPrefix("//"), "a path of \(request.path)")
            check(request.path.utf8.allSatisfy { 0x21...0x7E ~= $0 }, "a path of \(request.path.debugDescription)")
        }
    }
}

/// The receiving half of permessage-deflate, driven as a connection drives it.
private struct Inflation {
    private var transform: any FrameTransform
    private let room: Int
    var outputs: [[UInt8]] = []
    private(set) var hasFailed = false
    /// More came out than is worth the time.
    private(set) var isCutShort = false

    init(_ transform: any FrameTransform, room: Int) {
        self.transform = transform
        self.room = room
    }

    /// Goes on from the same place.
    func copy() -> Inflation {
        var copy = self
        if let transform = self.transform as? any CopiedFrameTransform { copy.transform = transform.copy() }
        return copy
    }

    mutating func receive(_ pieces: [ByteBuffer]) {
        guard !self.hasFailed, !self.isCutShort else { return }
        var output = ByteBuffer()
        for (index, bytes) in (pieces.isEmpty ? [ByteBuffer()] : pieces).enumerated() {
            var piece = MessagePiece(
                .binary,
                bytes,
                reservedBits: .rsv1,
                isFirst: index == 0,
                isLast: index >= pieces.count - 1
            )
            while true {
                let (before, left) = (output.readableBytes, piece.bytes.readableBytes)
                guard let isDone = try? self.transform.inbound(&piece, into: &output, room: self.room) else {
                    self.hasFailed = true
                    return
                }
                let count = output.readableBytes - before
                check(count <= self.room, "\(count) bytes in a room of \(self.room)")
                if isDone {
                    check(piece.bytes.readableBytes == 0, "a piece is done and not used up")
                    break
                }
                check(count > 0 || piece.bytes.readableBytes < left, "no progress")
                if output.readableBytes > self.room * 512 || output.readableBytes > 1 << 20 {
                    self.isCutShort = true
                    return
                }
            }
        }
        self.outputs.append(Array(output.readableBytesView))
    }
}

/// The paths for which a revalidation was asked. Fuzzing has one thread.
private final class Paths: @unchecked Sendable {
    private(set) var requests: [KaazingHTTPRevalidate.Request] = []

    func take(_ request: KaazingHTTPRevalidate.Request) { self.requests.append(request) }
}
