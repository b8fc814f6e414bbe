// The code of the page on HTTP beside WebSockets, kept compiling. scripts/check-docs.py holds the page against it.

import Foundation
import HTTPTypes
import KHPServer
import NIOCore
import NIOPosix

func hello(_ configuration: inout WebSocketServer.Configuration) {
    configuration.serveHTTP = { exchange in
        try await exchange.respond(.init(status: .ok), "hello\n")
    }
}

func pagesAndSockets(below directory: String) -> WebSocketServer {
    let files = StaticFiles(below: directory)
    var configuration = WebSocketServer.Configuration(
        address: .hostname("127.0.0.1", port: 8080)
    )
    configuration.serveHTTP = { exchange in
        if exchange.request.path == "/orders" {
            try await takeOrder(exchange)
        } else {
            try await files.serve(exchange)
        }
    }
    return WebSocketServer(configuration: configuration) {
        Endpoint("/echo") { socket in
            for try await message in socket.messages {
                try await socket.send(message)
            }
        }
    }
}

struct NewOrder: Codable {
    var item: String
    var count: Int
}

func takeOrder(_ exchange: HTTPExchange) async throws {
    guard exchange.request.method == .post else {
        throw HandshakeResponse.refuse(405, headers: [.allow: "POST"])
    }
    let body = try await exchange.body.collect(upTo: 64 * 1024)
    let data = Data(body.readableBytesView)
    let decoder = JSONDecoder()
    guard let order = try? decoder.decode(NewOrder.self, from: data) else {
        throw HandshakeResponse.refuse(400, "That is no order.\n")
    }
    let json = try JSONEncoder().encode(order)
    try await exchange.respond(
        .init(
            status: .created,
            headerFields: [.contentType: "application/json"]
        ),
        ByteBuffer(bytes: json)
    )
}

/// Serves the files below a directory to GET and HEAD.
struct StaticFiles: Sendable {
    private let root: String

    init(below directory: String) {
        let url = URL(fileURLWithPath: directory)
        self.root = url.resolvingSymlinksInPath().path
    }

    func serve(_ exchange: HTTPExchange) async throws {
        let request = exchange.request
        guard request.method == .get || request.method == .head else {
            let fields: HTTPFields = [.allow: "GET, HEAD"]
            throw HandshakeResponse.refuse(405, headers: fields)
        }
        // Files are read where waiting for a disk keeps nobody waiting.
        let threads = NIOThreadPool.singleton
        let file = try await threads.runIfActive {
            try self.path(of: request.path ?? "").flatMap(OpenFile.init)
        }
        guard let file else { throw HandshakeResponse.refuse(404) }
        var fields: HTTPFields = [
            .eTag: file.tag, .contentType: file.mediaType,
            .xContentTypeOptions: "nosniff",
        ]
        if request.headerFields[.ifNoneMatch] == file.tag {
            return try await exchange.respond(
                .init(status: .notModified, headerFields: fields)
            )
        }
        fields[.contentLength] = String(file.size)
        try await exchange.respond(
            .init(status: .ok, headerFields: fields)
        ) { writer in
            guard request.method == .get else { return }
            while let piece = try await threads.runIfActive({
                try file.handle.read(upToCount: 64 * 1024)
            }), !piece.isEmpty {
                try await writer.write(ByteBuffer(bytes: piece))
            }
        }
    }

    /// The file that a target names; `nil` for one that leads out of the
    /// directory, by dots, an encoded slash or a link.
    func path(of target: String) -> String? {
        let path = target.prefix { $0 != "?" }
        var names: [String] = []
        for segment in path.split(separator: "/") {
            guard let name = segment.removingPercentEncoding,
                !name.hasPrefix("."), !name.contains("/"),
                !name.utf8.contains(0)
            else { return nil }
            names.append(name)
        }
        if path.hasSuffix("/") { names.append("index.html") }
        let url = URL(fileURLWithPath: self.root + "/")
            .appendingPathComponent(names.joined(separator: "/"))
            .resolvingSymlinksInPath()
        return url.path.hasPrefix(self.root + "/") ? url.path : nil
    }
}

/// A file with what HTTP tells of it. The handle closes with it.
struct OpenFile: Sendable {
    let handle: FileHandle
    let size: Int
    let tag: String
    let mediaType: String

    init?(_ path: String) throws {
        guard let handle = FileHandle(forReadingAtPath: path) else {
            return nil
        }
        let about = try FileManager.default.attributesOfItem(atPath: path)
        guard about[.type] as? FileAttributeType == .typeRegular,
            let size = about[.size] as? Int,
            let changed = about[.modificationDate] as? Date
        else { return nil }
        self.handle = handle
        self.size = size
        let moment = Int(changed.timeIntervalSince1970 * 1000)
        self.tag = "\"\(size)-\(moment)\""
        let name = path.split(separator: ".").last ?? ""
        self.mediaType =
            Self.types[String(name)] ?? "application/octet-stream"
    }

    private static let types = [
        "html": "text/html; charset=utf-8", "css": "text/css",
        "js": "text/javascript", "json": "application/json",
        "svg": "image/svg+xml", "png": "image/png",
        "txt": "text/plain; charset=utf-8",
    ]
}
