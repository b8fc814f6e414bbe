// The status table (Specs/status-codes.json) over real sockets: a server answers every code from 100 to 699 inside the
// extended handshake, and what our client then does is compared with the table.

import Foundation
import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

/// The table as data.
struct StatusTable: Decodable, Sendable {
    struct Row: Decodable, Sendable {
        var code: Int?
        var action: String
        var condition: String?
    }

    var codes: [Row]
    var others: Row

    static let shared: StatusTable? = {
        let url = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Specs/status-codes.json")
        return (try? Data(contentsOf: url)).flatMap { try? JSONDecoder().decode(StatusTable.self, from: $0) }
    }()

    func row(_ code: Int) -> Row { self.codes.first { $0.code == code } ?? self.others }
}

/// The events that a client saw on its way.
final class Trace: Sendable {
    private let seen = Mutex<[(status: Int, action: StatusAction)]>([])
    private let redirected = Mutex<[(status: Int, to: String)]>([])

    func observe(_ event: ConnectionEvent) {
        switch event {
        case .extendedResponse(_, let status, let action, _): self.seen.withLock { $0.append((status, action)) }
        case .redirect(_, let to, let status, _): self.redirected.withLock { $0.append((status, to.description)) }
        default: break
        }
    }

    var first: (status: Int, action: StatusAction)? { self.seen.withLock { $0.first } }
    var redirects: [(status: Int, to: String)] { self.redirected.withLock { $0 } }
}

@Suite("The status table over real sockets")
struct StatusTableTests {
    private static func endpoint(_ code: Int) -> Endpoint {
        Endpoint("/\(code)") { request in
            switch code {
            case 202: return .processing { .complete() }
            case 300...308: return .refuse(code, headers: [.location: "/ok"])
            case 401: return request.attempt == 1 ? .challenge("Basic realm=\"desk\"") : .complete()
            case 426: return .refuse(code, headers: [.upgrade: "other/2"])
            default: return HandshakeResponse(status: code)
            }
        }
    }

    private static func connect(
        _ port: Int,
        _ path: String,
        _ trace: Trace,
        configure: (inout WebSocketClient.Configuration) -> Void = { _ in }
    ) async throws -> HandshakeSummary {
        var configuration = WebSocketClient.Configuration()
        configuration.extended.policy = .required
        configuration.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "welcome")
        configuration.observe = { event, _ in trace.observe(event) }
        configure(&configuration)
        let client = WebSocketClient(configuration: configuration)
        return try await client.withConnection(to: "ws://127.0.0.1:\(port)\(path)") { $0.negotiated }
    }

    /// The fault in the client's behaviour, or `nil`.
    private static func check(_ code: Int, _ action: StatusAction, _ port: Int) async -> String? {
        let trace = Trace()
        let outcome: Result<HandshakeSummary, any Error>
        do {
            outcome = .success(try await self.connect(port, "/\(code)", trace))
        } catch {
            outcome = .failure(error)
        }
        guard let first = trace.first, first.status == code else { return "the client saw \(trace.first as Any)" }
        guard first.action == action else { return "the client's action is \(first.action)" }
        switch (action, outcome) {
        case (.complete, .success(let open)):
            return open.status == code && open.redirects.isEmpty ? nil : "open with \(open.status as Any)"
        case (.wait, .success(let open)):
            return open.status == 101 ? nil : "open with \(open.status as Any)"
        case (.redirect, .success(let open)), (.choose, .success(let open)):
            return open.redirects.map(\.status) == [code] && open.url.path == "/ok" ? nil : "open at \(open.url)"
        case (.challenge, .success(let open)):
            return open.challenges == 1 ? nil : "\(open.challenges) challenges"
        case (.close, .failure(let error)), (.upgrade, .failure(let error)):
            guard let error = error as? WebSocketError, error.code == .extendedRefused else { return "\(error)" }
            guard error.response?.status == code else { return "\(error)" }
            // D6
            let expected: WebSocketCloseCode = 300...599 ~= code ? .normalClosure : .internalError
            return action == .upgrade || error.closeCode == expected ? nil : "\(error)"
        case (.proxyAuth, .failure(let error)):
            let error = error as? WebSocketError
            return error?.code == .proxyAuthenticationRequired && error?.response?.status == code ? nil : "\(outcome)"
        default:
            return "\(action) became \(outcome)"
        }
    }

    @Test("every code from 100 to 699 has the outcome that the table gives it (KHP-E9)")
    func everyCode() async throws {
        let table = try #require(StatusTable.shared)
        try await withServer {
            for code in 100...699 { Self.endpoint(code) }
            Endpoint("/ok") { (_: WebSocket) in }
        } body: { port in
            await withTaskGroup(of: (Int, String?).self) { group in
                // Batches in parallel; each client has one connection in CONNECTING state at a time.
                let batches = 12
                for batch in 0..<batches {
                    group.addTask {
                        for code in stride(from: 100 + batch, through: 699, by: batches) {
                            let row = table.row(code)
                            // Where the condition of a code does not hold, its action is to close: nothing is held
                            // back for a 100 here, and the method of the request is GET.
                            let name = code == 100 ? "close" : row.action
                            guard let action = StatusAction(rawValue: name) else { return (code, "no \(name)") }
                            if let wrong = await Self.check(code, action, port) { return (code, wrong) }
                        }
                        return (0, nil)
                    }
                }
                for await (code, wrong) in group {
                    if let wrong { Issue.record("\(code): \(wrong)") }
                }
            }
        }
    }

    @Test(
        "the codes with a condition, on the other side of it: 100 with a body, 307 after POST, 308 followed, 426 of TLS"
    )
    func conditions() async throws {
        try await withServer {
            Endpoint(
                "/read",
                respond: { request in
                    request.body == ByteBuffer(string: "hello") ? .complete() : .refuse(400)
                }
            ) { (_: WebSocket) in }
            Endpoint("/moved") { _ in .redirect(to: "/ok", status: 307) }
            Endpoint("/found") { _ in .redirect(to: "/method", status: 302) }
            Endpoint("/other") { _ in .redirect(to: "/method", status: 303) }
            Endpoint("/many") { _ in .choices(["/method"]) }
            Endpoint("/method") { request in
                .complete(headers: [.allow: request.extended?.method.rawValue ?? "none"])
            }
            Endpoint("/moved-for-good") { _ in .redirect(to: "/ok", status: 308) }
            Endpoint("/secure") { _ in .refuse(426, headers: [.upgrade: "TLS/1.2, HTTP/1.1"]) }
            Endpoint("/ok") { (_: WebSocket) in }
        } body: { port in
            let body = Trace()
            let read = try await Self.connect(port, "/read", body) {
                $0.extended.method = "POST"
                $0.extended.body = ByteBuffer(string: "hello")
            }
            #expect(read.status == 101)
            #expect(body.first?.status == 100)
            #expect(body.first?.action == .sendBody)

            await #expect {
                _ = try await Self.connect(port, "/moved", Trace()) { $0.extended.method = "POST" }
            } throws: { error in
                (error as? WebSocketError)?.code == .redirectMethod
            }

            // D41
            for (path, method, asked) in [
                ("/found", "POST", "GET"), ("/found", "HEAD", "HEAD"), ("/found", "PUT", nil), ("/other", "PUT", "GET"),
                ("/many", "POST", nil), ("/many", "HEAD", "HEAD"),
            ] as [(String, String, String?)] {
                let got = try? await Self.connect(port, path, Trace()) { $0.extended.method = method }
                #expect(got?.response?.headers[.allow] == asked, "\(path) after \(method)")
            }

            let moved = try await Self.connect(port, "/moved-for-good", Trace()) { $0.redirects.follows308 = true }
            #expect(moved.redirects.map(\.status) == [308])

            // There is no TLS on that port, so the way over wss ends there.
            let secure = Trace()
            await #expect {
                _ = try await Self.connect(port, "/secure", secure)
            } throws: { error in
                (error as? WebSocketError)?.url?.isSecure == true
            }
            #expect(secure.redirects.map(\.status) == [426])
            #expect(secure.redirects.first?.to == "wss://127.0.0.1:\(port)/secure")
        }
    }
}
