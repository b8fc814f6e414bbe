// A raw client that takes part in the extended handshake: one request in a frame, one response out of a frame.

package import KHPProtocol
package import NIOCore

package struct ExtendedRawClient: Sendable {
    private let client: RawClient
    private let path: String

    /// The response of the opening handshake.
    package let opening: ResponseHead

    /// Opens `target` with x-kaazing-handshake.
    package static func open(_ port: Int, _ target: String, extra: String = "") async throws -> ExtendedRawClient {
        let client = try await RawClient.connect(port)
        try await client.send(openingRequest(target, protocols: "x-kaazing-handshake", extra: extra))
        let bytes = try await client.take { buffer in
            let view = buffer.readableBytesView
            guard let end = view.endOfHead else { return nil }
            return view.distance(from: view.startIndex, to: end)
        }
        return ExtendedRawClient(client: client, path: target, opening: try Self.head(bytes))
    }

    private init(client: RawClient, path: String, opening: ResponseHead) {
        self.client = client
        self.path = path
        self.opening = opening
    }

    /// Sends a request and returns the next response.
    package func request(
        method: String = "GET",
        target: String? = nil,
        authorization: String? = nil,
        body: String = ""
    ) async throws -> ResponseHead {
        var text = "\(method) \(target ?? self.path) HTTP/1.1\r\n"
        if !body.isEmpty { text += "Content-Length: \(body.utf8.count)\r\n" }
        if let authorization { text += "Authorization: \(authorization)\r\n" }
        text += "\r\n\(body)"
        try await self.client.send(maskedFrame(2, Array(text.utf8)))
        return try Self.head(try await self.frame(2))
    }

    /// Drops the connection.
    package func drop() async { _ = try? await self.client.close() }

    /// The code of the server's close frame, which is the next.
    package func closeCode() async throws -> Int {
        var payload = try await self.frame(8)
        await self.drop()
        return payload.readInteger(as: UInt16.self).map { Int($0) } ?? 0
    }

    private func frame(_ opcode: UInt8) async throws -> ByteBuffer {
        var bytes = try await self.client.take { buffer in
            let at = buffer.readerIndex
            guard let length: UInt8 = buffer.getInteger(at: at + 1) else { return nil }
            var size = 2 + Int(length)
            if length == 126 {
                guard let long: UInt16 = buffer.getInteger(at: at + 2) else { return nil }
                size = 4 + Int(long)
            }
            return buffer.readableBytes >= size ? size : nil
        }
        guard let first: UInt8 = bytes.readInteger(), first == 0x80 | opcode, let length: UInt8 = bytes.readInteger()
        else { throw Unexpected(text: String(buffer: bytes)) }
        if length == 126 { bytes.moveReaderIndex(forwardBy: 2) }
        return bytes
    }

    /// The bytes were not the ones that a test waits for.
    package struct Unexpected: Error {
        package var text: String
    }

    private static func head(_ bytes: ByteBuffer) throws -> ResponseHead {
        var bytes = bytes
        var decoder = ResponseHeadDecoder(limits: Limits().openingHead)
        guard let head = try decoder.decode(&bytes) else { throw Unexpected(text: String(buffer: bytes)) }
        return head
    }
}

extension ByteBufferView {
    /// Behind the first empty line.
    package var endOfHead: Index? {
        var run: [UInt8] = []
        for index in self.indices {
            run = run.suffix(3) + [self[index]]
            if run == [13, 10, 13, 10] { return self.index(after: index) }
        }
        return nil
    }
}
