import Foundation
import KHPClient
import NIOCore
import Synchronization

/// A message given as an option. Remembers when the parser read it, because `--message` and `--binary` are sent in the
/// order given and the parser, which reads one word after the other, keeps options of different names apart.
struct OutgoingArgument: Sendable {
    enum Content: Sendable {
        case text(String)
        case file(String)
    }

    let content: Content
    let readAt = ContinuousClock.now

    init(_ content: Content) {
        self.content = content
    }

    /// The message; reads the file.
    func message() throws(CommandFailure) -> WebSocketMessage {
        switch self.content {
        case .text(let text): .text(text)
        case .file(let path):
            .binary(
                ByteBuffer(
                    bytes: try FileArgument.bytes(path, option: "--binary", most: FileArgument.contentBytes)
                )
            )
        }
    }
}

/// Where the messages to send come from; lives as long as the command, over all reconnects.
enum OutgoingSource: Sendable {
    case list(Pending)
    case lines(InputQueue, isInteractive: Bool)

    /// Messages of options that are not sent yet.
    final class Pending: Sendable {
        private let messages: Mutex<[WebSocketMessage]>

        init(_ messages: [WebSocketMessage]) {
            self.messages = Mutex(messages.reversed())
        }

        func next() -> WebSocketMessage? {
            self.messages.withLock { $0.popLast() }
        }

        /// Makes a message that was not sent the next one again.
        func putBack(_ message: WebSocketMessage) {
            self.messages.withLock { $0.append(message) }
        }
    }
}
