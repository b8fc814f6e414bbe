// A client of ordinary HTTP/1.1, which is none of ours: it asks, takes the answer, and has no more patience than the ends of
// a run.

import KHPProtocol
import NIOCore
import TestSupport

struct HTTPPeer: Sendable {
    struct Response: Sendable {
        var status: Int
        var content: String
    }

    private let client: RawClient
    private let patience: TimeAmount

    /// Runs `body` with a client that is gone behind it, and whose errors have the types of a caller of ours.
    static func connected<Result: Sendable>(
        in world: any TortureWorld,
        _ body: @escaping @Sendable (HTTPPeer) async throws -> Result
    ) async throws -> Result {
        do {
            let client = try await world.dialRaw()
            let peer = HTTPPeer(client: client, patience: TimeAmount(TortureSettings(world.plan, world.watch).wait) * 2)
            defer { client.drop() }
            return try await withTaskCancellationHandler {
                try await body(peer)
            } onCancel: {
                client.drop()
            }
        } catch let error as WebSocketError {
            try Task.checkCancellation()
            throw error
        } catch {
            try Task.checkCancellation()
            throw WebSocketError(.closed, "\(error)")
        }
    }

    func send(_ text: String) async throws { try await self.send(Array(text.utf8)) }

    /// Returns once the bytes have left, for which TLS has to be there.
    func send(_ bytes: [UInt8]) async throws {
        try await self.patiently { try await $0.send(bytes) }
    }

    /// Waits for a whole response.
    func response() async throws -> Response {
        let bytes = try await self.take { Self.response(in: $0)?.length }
        guard let response = Self.response(in: bytes)?.response else {
            throw WebSocketError(.closed, "There is no whole response.")
        }
        return response
    }

    /// Waits for so many bytes.
    func bytes(_ count: Int) async throws -> [UInt8] {
        let bytes = try await self.take { $0.readableBytes >= count ? count : nil }
        guard bytes.readableBytes == count else { throw WebSocketError(.closed, "There are not as many bytes.") }
        return Array(buffer: bytes)
    }

    private func take(_ length: @escaping @Sendable (ByteBuffer) -> Int?) async throws -> ByteBuffer {
        try await self.patiently { try await $0.take(length) }
    }

    private func patiently<Result: Sendable>(
        _ body: (RawClient) async throws -> Result
    ) async throws -> Result {
        let client = self.client
        let limit = client.eventLoop.scheduleTask(in: self.patience) { client.drop() }
        defer { limit.cancel() }
        return try await body(client)
    }

    /// - Returns: the first response in these bytes, and its length; `nil` where it is not whole.
    private static func response(in bytes: ByteBuffer) -> (response: Response, length: Int)? {
        let all = Array(bytes.readableBytesView)
        guard let end = Self.end(of: "\r\n\r\n", in: all, from: 0) else { return nil }
        let head = String(decoding: all[..<end], as: UTF8.self)
        guard let status = head.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else { return nil }
        if status == 101 { return (Response(status: status, content: ""), end) }
        let lines = head.split(separator: "\r\n").map { $0.lowercased() }
        if let line = lines.first(where: { $0.hasPrefix("content-length: ") }), let count = Int(line.dropFirst(16)) {
            guard count >= 0, all.count - end >= count else { return nil }
            let content = String(decoding: all[end..<(end + count)], as: UTF8.self)
            return (Response(status: status, content: content), end + count)
        }
        guard lines.contains("transfer-encoding: chunked") else { return nil }
        var content: [UInt8] = []
        var place = end
        while let next = Self.end(of: "\r\n", in: all, from: place) {
            guard let size = Int(String(decoding: all[place..<(next - 2)], as: UTF8.self), radix: 16), size >= 0,
                all.count - next >= size + 2
            else { return nil }
            content += all[next..<(next + size)]
            place = next + size + 2
            if size == 0 {
                return (Response(status: status, content: String(decoding: content, as: UTF8.self)), place)
            }
        }
        return nil
    }

    private static func end(of mark: String, in bytes: [UInt8], from start: Int) -> Int? {
        let mark = Array(mark.utf8)
        guard bytes.count - start >= mark.count else { return nil }
        for index in start...(bytes.count - mark.count) where bytes[index..<(index + mark.count)].elementsEqual(mark) {
            return index + mark.count
        }
        return nil
    }
}
