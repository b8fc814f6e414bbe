// Says what our decoder and NIOWebSocket's make of streams of frames, for a comparison with a third one (compare.py).
//
// A line in: role of the receiver, lengths of the pieces that the stream comes in, the stream in hexadecimal.
// A line out: what we found, a bar, what NIOWebSocket found: events, then `end` or `fail`.

import KHPProtocol
import NIOCore
import NIOEmbedded
import NIOWebSocket

/// Larger messages are refused by both.
private let largestMessage = 4096

@main
struct Main {
    static func main() throws {
        while let line = readLine() {
            let words = line.split(separator: " ", omittingEmptySubsequences: false)
            guard words.count == 3 else { continue }
            let role: Role = words[0] == "server" ? .server : .client
            let stream = bytes(words[2])
            var pieces: [ArraySlice<UInt8>] = []
            var start = 0
            for length in words[1].split(separator: ",").compactMap({ Int($0) }) {
                pieces.append(stream[start..<min(start + length, stream.count)])
                start = min(start + length, stream.count)
            }
            if start < stream.count { pieces.append(stream[start...]) }
            print(ours(pieces, role), "|", theirs(pieces), separator: " ")
        }
    }

    private static func ours(_ pieces: [ArraySlice<UInt8>], _ role: Role) -> String {
        var limits = MessageLimits()
        limits.messageBytes = largestMessage
        var reader = MessageReader(role: role, limits: limits)
        var input = ByteBuffer()
        var events: [String] = []
        do throws(FrameViolation) {
            for piece in pieces {
                input.writeBytes(piece)
                while let event = try reader.next(&input) { events.append(name(of: event)) }
            }
        } catch {
            return (events + ["fail:\(error.closeCode):\(error.message.replacing(" ", with: "_"))"]).joined(
                separator: " "
            )
        }
        return (events + ["end"]).joined(separator: " ")
    }

    private static func name(of event: InboundFrameEvent) -> String {
        switch event {
        case .message(let kind, let payload, _): "\(kind):\(hexadecimal(payload))"
        case .chunk: "chunk"
        case .ping(let payload): "ping:\(hexadecimal(payload))"
        case .pong(let payload): "pong:\(hexadecimal(payload))"
        case .close(let code, _): "close:\(code.map { String($0.rawValue) } ?? "")"
        case .dropped: "dropped"
        }
    }

    /// Puts frames together by the book. The decoder alone judges their order.
    private static func theirs(_ pieces: [ArraySlice<UInt8>]) -> String {
        let channel = EmbeddedChannel(
            handler: ByteToMessageHandler(WebSocketFrameDecoder(maxFrameSize: largestMessage))
        )
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
        var assembly = Assembly()
        var hasFailed = false
        for piece in pieces where !hasFailed {
            do {
                try channel.writeInbound(ByteBuffer(bytes: piece))
            } catch {
                hasFailed = true
            }
            // Frames decoded before a failure count.
            while let frame = (try? channel.readInbound(as: WebSocketFrame.self)) ?? nil { assembly.take(frame) }
        }
        return (assembly.events + [hasFailed ? "fail" : "end"]).joined(separator: " ")
    }

    private struct Assembly {
        var events: [String] = []
        private var unfinished: (kind: String, payload: ByteBuffer)?

        mutating func take(_ frame: WebSocketFrame) {
            let payload = frame.unmaskedData
            switch frame.opcode {
            case .text, .binary, .continuation:
                var message = (kind: frame.opcode == .text ? "text" : "binary", payload: payload)
                if frame.opcode == .continuation, let begun = self.unfinished {
                    message = begun
                    message.payload.writeImmutableBuffer(payload)
                }
                self.unfinished = frame.fin ? nil : message
                if frame.fin { self.events.append("\(message.kind):\(hexadecimal(message.payload))") }
            case .ping: self.events.append("ping:\(hexadecimal(payload))")
            case .pong: self.events.append("pong:\(hexadecimal(payload))")
            case .connectionClose:
                let code = payload.getInteger(at: payload.readerIndex, as: UInt16.self)
                self.events.append("close:\(code.map { String($0) } ?? "")")
            default: self.events.append("other:\(hexadecimal(payload))")
            }
        }
    }

    private static func bytes(_ text: Substring) -> [UInt8] {
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in text.utf8 {
            let value = digit >= UInt8(ascii: "a") ? digit - UInt8(ascii: "a") + 10 : digit - UInt8(ascii: "0")
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return bytes
    }

    private static func hexadecimal(_ payload: ByteBuffer) -> String { Hexadecimal.encode(payload.readableBytesView) }
}
