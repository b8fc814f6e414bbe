import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Redirects over real sockets")
struct RedirectTests {
    @Test(
        "every code, in both handshakes, relative",
        arguments: [300, 301, 302, 303, 307],
        [ExtendedHandshakePolicy.required, .off]
    )
    func followed(_ status: Int, _ extended: ExtendedHandshakePolicy) async throws {
        try await withServer {
            Endpoint("/a") { _ in .redirect(to: "/b?x=1", status: status) }
            echo("/b")
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = extended
            try await WebSocketClient(configuration: configuration).withConnection(to: "ws://127.0.0.1:\(port)/a") {
                #expect($0.negotiated.url.resource == "/b?x=1")
                #expect($0.negotiated.redirects.map(\.status) == [status])
                #expect($0.negotiated.redirects.first?.layer == (extended == .off ? .opening : .extended))
            }
        }
    }

    @Test("a loop, too many, and a policy that refuses (KHP-E15, KHP-E16)")
    func refused() async throws {
        try await withServer {
            Endpoint("/a") { _ in .redirect(to: "/b") }
            Endpoint("/b") { _ in .redirect(to: "/a") }
            Endpoint("/more") { request in .redirect(to: "/more?\((request.query.text ?? "") + "x")") }
        } body: { port in
            func code(_ path: String, _ policy: RedirectPolicy = .always) async -> WebSocketError.Code? {
                var configuration = WebSocketClient.Configuration()
                configuration.redirects.policy = policy
                do {
                    _ = try await WebSocketClient(configuration: configuration).connect(
                        to: "ws://127.0.0.1:\(port)\(path)"
                    )
                    return nil
                } catch {
                    return (error as? WebSocketError)?.code
                }
            }
            #expect(await code("/a") == .redirectLoop)
            #expect(await code("/more") == .tooManyRedirects)
            #expect(await code("/a", .never) == .redirectRefused)
        }
    }

    @Test(
        "no field or credential of the caller reaches another origin (D12, threat F1)",
        arguments: [ExtendedHandshakePolicy.required, .off]
    )
    func secrets(_ extended: ExtendedHandshakePolicy) async throws {
        let seen = Mutex("")
        try await withServer {
            $0.observe = { event, _ in
                switch event {
                case .openingRequest(let head), .extendedRequest(let head): seen.withLock { $0 += head }
                default: break
                }
            }
        } endpoints: {
            echo("/b")
        } body: { other in
            try await withServer {
                Endpoint("/a", options: .init(authentication: .init(realm: "desk", .basic { _, _ in "joe" }))) { _ in
                    .redirect(to: "ws://127.0.0.1:\(other)/b")
                } handler: { _ in
                }
            } body: { port in
                var configuration = WebSocketClient.Configuration()
                configuration.extended.policy = extended
                configuration.headers[HTTPField.Name("X-Api-Key")!] = "canary-1"
                configuration.extended.headers[HTTPField.Name("X-Token")!] = "canary-2"
                configuration.authentication.challengeHandler = BasicChallengeHandler(user: "joe", password: "canary-3")
                let client = WebSocketClient(configuration: configuration)
                try await client.withConnection(to: "ws://127.0.0.1:\(port)/a") {
                    #expect($0.negotiated.url.port == other)
                    #expect($0.negotiated.challenges == 1)
                }
            }
        }
        let heads = seen.withLock { $0 }
        #expect(heads.contains("GET /b"))
        #expect(!heads.contains("canary"))
        #expect(!heads.lowercased().contains("authorization"))
    }

    @Test(
        "a server that ends the extended handshake and never answers our close frame is left after a second",
        arguments: ["302 Found\r\nLocation: ws://127.0.0.1:PORT/b", "401 No\r\nWWW-Authenticate: Basic realm=\"a\""]
    )
    func unansweredClose(_ answer: String) async throws {
        let (ends, tell) = AsyncStream.makeStream(of: Duration.self)
        try await withServer {
            echo("/b")
        } body: { port in
            try await withRawServer { connection in
                try await connection.executeThenClose { inbound, outbound in
                    var reads = inbound.makeAsyncIterator()
                    var head = ""
                    while !head.hasSuffix("\r\n\r\n"), let bytes = try await reads.next() {
                        head += String(buffer: bytes)
                    }
                    let key = head.split(separator: "\r\n").first { $0.hasPrefix("Sec-WebSocket-Key: ") }
                    let switching =
                        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
                        + acceptValue(for: String(key?.dropFirst(19) ?? ""))
                        + "\r\nSec-WebSocket-Protocol: x-kaazing-handshake\r\n\r\n"
                    try await outbound.write(ByteBuffer(string: switching))
                    _ = try await reads.next()
                    let inside = "HTTP/1.1 \(answer.replacing("PORT", with: "\(port)"))\r\n\r\n"
                    try await outbound.write(ByteBuffer(bytes: [0x82, UInt8(inside.utf8.count)] + inside.utf8))
                    let began = ContinuousClock.now
                    while try await reads.next() != nil {}
                    tell.yield(ContinuousClock.now - began)
                }
            } body: { first in
                let socket = try? await WebSocketClient().connect(to: "ws://127.0.0.1:\(first)/a")
                #expect(socket?.negotiated.url.port == (answer.hasPrefix("302") ? port : nil))
                for await waited in ends {
                    #expect(waited < .seconds(4 * Sanitizer.patience))
                    break
                }
                _ = try? await socket?.close()
            }
        }
    }

    @Test(
        "308 by option, in both handshakes (D4)",
        arguments: [ExtendedHandshakePolicy.required, .off],
        [true, false]
    )
    func permanent(_ extended: ExtendedHandshakePolicy, _ follows: Bool) async throws {
        try await withServer {
            Endpoint("/a") { _ in .redirect(to: "/b", status: 308) }
            echo("/b")
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.extended.policy = extended
            configuration.redirects.follows308 = follows
            let client = WebSocketClient(configuration: configuration)
            do {
                try await client.withConnection(to: "ws://127.0.0.1:\(port)/a") {
                    #expect($0.negotiated.redirects.map(\.status) == [308])
                }
                #expect(follows)
            } catch let error as WebSocketError {
                #expect(!follows)
                #expect(error.response?.status == 308)
                #expect(error.code == (extended == .off ? .openingRefused : .extendedRefused))
            }
        }
    }

    @Test("the caller is asked about each target with its addresses, which are then dialled (threat F8)")
    func permission() async throws {
        try await withServer {
            Endpoint("/a") { _ in .redirect(to: "/b") }
            Endpoint("/b") { _ in .redirect(to: "/c") }
            echo("/c")
        } body: { port in
            let asked = Mutex<[(String, [String?])]>([])
            var configuration = WebSocketClient.Configuration()
            configuration.redirects.permit = { step, addresses in
                asked.withLock { $0.append((step.to.path, addresses.map(\.ipAddress))) }
                return true
            }
            let url = "ws://127.0.0.1:\(port)/a"
            try await WebSocketClient(configuration: configuration).withConnection(to: url) { _ in }
            #expect(asked.withLock { $0.map(\.0) } == ["/b", "/c"])
            #expect(asked.withLock { $0.map(\.1) } == [["127.0.0.1"], ["127.0.0.1"]])
            configuration.redirects.permit = { step, _ in step.to.path != "/c" }
            await #expect { try await WebSocketClient(configuration: configuration).connect(to: url) } throws: {
                let error = $0 as? WebSocketError
                return error?.code == .redirectRefused && error?.detail == .notPermitted && error?.redirects.count == 2
            }
            // One that never answers does not hold the connect for longer than it may take.
            configuration.timeouts.total = .milliseconds(300)
            configuration.redirects.permit = { _, _ in
                try? await Task.sleep(for: .seconds(60))
                return true
            }
            await #expect { try await WebSocketClient(configuration: configuration).connect(to: url) } throws: {
                ($0 as? WebSocketError)?.code == .timeout
            }
        }
    }

    @Test("426 that wants version 8 is asked again in that version, once")
    func olderVersion() async throws {
        let heads = Mutex<[String]>([])
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await bytes in inbound {
                    heads.withLock { $0.append(String(buffer: bytes)) }
                    break
                }
                let answer = "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 7, 8\r\nContent-Length: 0\r\n\r\n"
                try await outbound.write(ByteBuffer(string: answer))
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.origin = "http://page.example"
            await #expect {
                try await WebSocketClient(configuration: configuration).connect(to: "ws://127.0.0.1:\(port)/")
            } throws: {
                let error = $0 as? WebSocketError
                return error?.code == .openingRefused && error?.message.contains("it offers version 7, 8") == true
            }
        }
        let seen = heads.withLock { $0 }
        #expect(seen.count == 2)
        #expect(seen.first?.contains("Sec-WebSocket-Version: 13\r\n") == true)
        #expect(seen.first?.contains("\r\nOrigin: http://page.example\r\n") == true)
        #expect(seen.last?.contains("Sec-WebSocket-Version: 8\r\n") == true)
        #expect(seen.last?.contains("\r\nSec-WebSocket-Origin: http://page.example\r\n") == true)
    }

    @Test("the content of a redirect is not waited for (threat F11)")
    func endlessContent() async throws {
        let count = Mutex(0)
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                var reads = inbound.makeAsyncIterator()
                _ = try await reads.next()
                let first = count.withLock { count in
                    count += 1
                    return count == 1
                }
                let head = first ? "302 Found\r\nLocation: /next" : "503 Busy"
                let length = first ? 60_000 : 0
                try await outbound.write(
                    ByteBuffer(string: "HTTP/1.1 \(head)\r\nContent-Length: \(length)\r\n\r\n")
                )
                while try await reads.next() != nil {}
            }
        } body: { port in
            var configuration = WebSocketClient.Configuration()
            configuration.timeouts.opening = .seconds(5)
            await #expect {
                try await WebSocketClient(configuration: configuration).connect(to: "ws://127.0.0.1:\(port)/")
            } throws: {
                let error = $0 as? WebSocketError
                return error?.response?.status == 503 && error?.redirects.map(\.status) == [302]
            }
        }
    }
}
