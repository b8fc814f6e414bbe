import Foundation
import KHPProtocol
import KHPTransport
import NIOCore
import Synchronization

/// Writes the conversation of `--save-transcript` in the format of Specs/transcripts. Credentials are hidden as in
/// every other output, so a conversation with a challenge shows them as `•••`.
final class TranscriptWriter: Sendable {
    private struct State {
        var file: FileHandle
        var connections = 0
    }

    private let state: Mutex<State>

    /// Creates the file, readable by its owner alone: it holds what was said.
    init(path: String, url: String) throws(CommandFailure) {
        guard
            FileManager.default.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o600]),
            let file = FileHandle(forWritingAtPath: path)
        else { throw .usage("the file `\(path)` of --save-transcript cannot be written") }
        state = Mutex(State(file: file))
        append(
            "title: a conversation with \(Redaction.url(url))\nroles: client server\nclient: \(Redaction.url(url))\n\n"
        )
    }

    private func append(_ text: String) {
        state.withLock { state in
            // A full disk must not end the conversation.
            try? state.file.write(contentsOf: Array(text.utf8))
        }
    }

    /// Takes an event; called on an event loop.
    func observe(_ event: ConnectionEvent) {
        switch event {
        case .connecting(let url, _):
            let count = state.withLock { state in
                state.connections += 1
                return state.connections
            }
            if count > 1 { append("C connect \(url)\n") }
        case .openingRequest(let head): append("C opening\n" + Self.indented(head))
        case .openingResponse(let head, _): append("S opening\n" + Self.indented(head))
        case .extendedRequest(let head): append("C binary\n" + Self.indented(head))
        case .extendedResponse(let head, _, _, let body):
            append("S binary\n" + Self.indented(head) + Self.entity(body))
        case .frameSent(let frame): append(Self.frame("C", frame))
        case .frameReceived(let frame): append(Self.frame("S", frame))
        case .connected, .challenge, .redirect, .open, .pong, .closed, .failed: break
        }
    }

    /// One line of the head per line, indented by two spaces; the empty line at its end is the indentation alone.
    static func indented(_ head: String) -> String {
        var lines = head.split(omittingEmptySubsequences: false) { $0 == "\r\n" || $0 == "\n" }
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { "  \($0)\n" }.joined()
    }

    private static func entity(_ body: ByteBuffer) -> String {
        guard body.readableBytes > 0 else { return "" }
        return "  ==\n"
            + TerminalText.shown(body).split(omittingEmptySubsequences: false) { $0.isNewline }
            .map { "  \($0)\n" }.joined()
    }

    private static func frame(_ side: String, _ frame: FrameInfo) -> String {
        let bytes = Array(frame.payload.readableBytesView)
        switch frame.kind {
        case "text":
            let text = String(decoding: bytes, as: UTF8.self)
            let isOneLine = !text.contains { $0.isNewline }
            return isOneLine && !text.isEmpty
                ? "\(side) text \(text)\n"
                : "\(side) text\n"
                    + text.split(omittingEmptySubsequences: false) { $0.isNewline }
                    .map { "  \($0)\n" }.joined()
        case "close":
            guard bytes.count >= 2 else { return "\(side) close\n" }
            let code = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
            let reason = String(decoding: bytes.dropFirst(2), as: UTF8.self)
            return "\(side) close \(code)\(reason.isEmpty ? "" : " " + reason)\n"
        default:
            return "\(side) \(frame.kind)\(bytes.isEmpty ? "" : " " + TerminalText.hex(bytes))\n"
        }
    }
}
