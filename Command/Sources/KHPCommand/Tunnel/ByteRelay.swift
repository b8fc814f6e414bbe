import KHPProtocol
import KHPWebSocket
import NIOCore

/// Carries a byte stream over a WebSocket: messages become bytes, bytes become messages.
///
/// Back-pressure holds end to end: the next message is taken when the stream has taken the last one, and the stream is
/// read when the socket has taken what came before. The end of one side is the end of the other, after its bytes:
///
/// | first to end                                           | the other side                                         |
/// |--------------------------------------------------------|--------------------------------------------------------|
/// | socket, with a close frame that says no failure        | gets all that was sent, then the end                   |
/// | socket, otherwise                                      | is reset                                               |
/// | stream, in good order                                  | gets all that was sent, then close 1000                |
/// | stream, reset, or taking nothing for its patience      | gets all that was sent, then close 1014                |
/// | stream, with bytes that are no UTF-8 for text messages | gets the text before them, then close 1007             |
/// | the relay is cancelled                                 | is reset; the socket is its owner's to close           |
struct ByteRelay: Sendable {
    /// The kind of the messages that bytes become. Messages of either kind become bytes.
    enum Messages: String, Sendable, CaseIterable {
        case binary
        case text
    }

    let stream: ByteStream
    let socket: WebSocket
    /// The stream, as the reason of a close calls it.
    let streamName: String
    var messages = Messages.binary

    /// Returns when both have ended, or will without more of this task's doing.
    func run() async {
        // Whatever was not finished by then is broken off.
        defer { self.stream.reset() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.toSocket() }
            group.addTask {
                // Nobody waits for a stream on behalf of a peer that is gone. One that has closed is owed its bytes.
                guard let end = try? await self.socket.closed() else { return }
                if !end.clean { self.stream.reset() }
            }
            await self.toStream()
            group.cancelAll()
        }
    }

    private func toStream() async {
        do {
            for try await message in self.socket.messages {
                switch message {
                case .text(let text): try await self.stream.write(ByteBuffer(string: text))
                case .binary(let bytes): try await self.stream.write(bytes)
                }
            }
            let end = try await self.socket.closed()
            if end.saysNoFailure, !self.socket.hasLostMessages { try await self.stream.finish() }
        } catch let failure as ByteStream.Failure {
            await self.say(failure)
        } catch {
            // The socket is gone, or the task is cancelled.
        }
    }

    private func toSocket() async {
        do {
            var characters = CharacterBoundary()
            while let bytes = try await self.stream.next() {
                switch self.messages {
                case .binary: try await self.socket.send(bytes)
                case .text:
                    let text = try characters.text(bytes)
                    if !text.isEmpty { try await self.socket.send(text) }
                }
            }
            try characters.end()
            try await self.socket.close()
        } catch let failure as ByteStream.Failure {
            await self.say(failure)
        } catch is CharacterBoundary.NoText {
            await self.close(.invalidPayload, "the bytes of \(self.streamName) are no UTF-8, and text was asked for")
        } catch {
            // The socket is gone, or the task is cancelled.
        }
    }

    private func say(_ failure: ByteStream.Failure) async {
        switch failure {
        case .stalled: await self.close(.badGateway, "\(self.streamName) takes nothing")
        case .reset, .unreachable, .abandoned: await self.close(.badGateway, "\(self.streamName) was reset")
        }
    }

    private func close(_ code: WebSocketCloseCode, _ reason: String) async {
        _ = try? await self.socket.close(code: code, reason: reason)
    }
}

extension CloseInfo {
    /// True where the peer has said all that it had to, and ended because of that.
    fileprivate var saysNoFailure: Bool {
        guard self.clean else { return false }
        guard let code else { return true }
        return code == .normalClosure || code == .goingAway || code.rawValue >= 3000
    }
}
