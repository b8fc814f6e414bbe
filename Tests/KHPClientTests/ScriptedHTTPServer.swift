// A server that answers HTTP heads on raw connections as a test tells it, and remembers the heads.

import KHPProtocol
import NIOCore
import Synchronization
import TestSupport

final class HeardHeads: Sendable {
    struct Head: Sendable {
        /// Counted from 0, as the connections came.
        var connection: Int
        var text: String

        /// The value of a field.
        func value(_ name: String) -> String? {
            for line in self.text.split(separator: "\r\n") where line.hasPrefix(name + ": ") {
                return String(line.dropFirst(name.count + 2))
            }
            return nil
        }
    }

    private let heads = Mutex<[Head]>([])
    private let connections = Mutex(0)

    var all: [Head] { self.heads.withLock { $0 } }

    func add(_ head: Head) { self.heads.withLock { $0.append(head) } }

    func nextConnection() -> Int {
        self.connections.withLock { count in
            defer { count += 1 }
            return count
        }
    }
}

/// The answer to a head.
enum Said: Sendable {
    case text(String)
    case textThenClose(String)
    case close
    /// 101; then a close frame is answered, and the connection ends.
    case upgrade([String] = [])
}

/// Runs a server around `body` that answers each head as `answer` says, from all heads so far.
func withScriptedServer<Result: Sendable>(
    _ answer: @escaping @Sendable ([HeardHeads.Head]) -> Said,
    body: (Int, HeardHeads) async throws -> Result
) async throws -> Result {
    let heard = HeardHeads()
    return try await withRawServer { connection in
        try await connection.executeThenClose { inbound, outbound in
            let number = heard.nextConnection()
            var pending = ByteBuffer()
            var decoder = RequestHeadDecoder(limits: Limits().openingHead)
            var isOpen = false
            for try await bytes in inbound {
                if isOpen {
                    try await outbound.write(ByteBuffer(bytes: [0x88, 0x02, 0x03, 0xE8]))
                    return
                }
                pending.writeImmutableBuffer(bytes)
                guard let head = try decoder.decode(&pending) else { continue }
                var text = "\(head.method) \(head.target)\r\n"
                head.fields.forEach { text += "\($0): \($1)\r\n" }
                heard.add(HeardHeads.Head(connection: number, text: text))
                switch answer(heard.all) {
                case .text(let text): try await outbound.write(ByteBuffer(string: text))
                case .textThenClose(let text):
                    try await outbound.write(ByteBuffer(string: text))
                    return
                case .close: return
                case .upgrade(let fields):
                    let accept = AcceptKey.accept(for: head.fields.first("Sec-WebSocket-Key") ?? "")
                    let lines =
                        ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
                        + ["Sec-WebSocket-Accept: \(accept)"] + fields
                    let response = lines.joined(separator: "\r\n") + "\r\n\r\n"
                    try await outbound.write(ByteBuffer(string: response))
                    isOpen = true
                }
            }
        }
    } body: { port in
        try await body(port, heard)
    }
}

/// A refusal with a body that ends by itself.
func refusal(_ status: String, _ fields: String...) -> String {
    (["HTTP/1.1 \(status)", "Content-Length: 2"] + fields).joined(separator: "\r\n") + "\r\n\r\nno"
}
