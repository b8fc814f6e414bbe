// The code in the documentation catalog of KHPProtocol, kept compiling. scripts/check-docs.py holds the pages against
// these sources.

import KHPProtocol
import NIOCore

func urls() throws {
    let url = try WebSocketURL("wss://Example.com/trades?since=17")
    print(url.host, url.port, url.resource)
    print(try url.resolving("../archive"))
}

/// A whole extension, as the documentation of WebSocketExtension shows it.
struct Trimming: WebSocketExtension {
    let name = "x-trim"

    func makeTransform(
        role: Role,
        parameters: ExtensionParameters
    ) -> (any MessageTransform)? { Trim() }

    struct Trim: MessageTransform {
        func outbound(_ message: WebSocketMessage) -> WebSocketMessage? {
            guard case .text(let text) = message else { return message }
            return .text(String(text.drop { $0.isWhitespace }))
        }
    }
}

func table() {
    for status in [101, 202, 302, 401, 403] {
        print(status, StatusAction.action(forStatus: status))
    }
}

func messages(_ message: WebSocketMessage) {
    switch message {
    case .text(let text): print(text)
    case .binary(let bytes): print(bytes.readableBytes, "bytes")
    }
}
