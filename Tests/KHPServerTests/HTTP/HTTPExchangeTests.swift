import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

/// Serves exchanges by their path.
private func serving(
    _ limits: WebSocketServer.HTTPLimits = .init(),
    _ configure: (inout WebSocketServer.Configuration) -> Void = { _ in },
    _ serve: @escaping @Sendable (HTTPExchange) async throws -> Void,
    body: (Int) async throws -> Void
) async throws {
    try await withServer {
        $0.httpLimits = limits
        $0.serveHTTP = serve
        configure(&$0)
    } endpoints: {
        echo()
    } body: { port in
        try await body(port)
    }
}

private func get(_ path: String, _ fields: String = "", method: String = "GET") -> String {
    "\(method) \(path) HTTP/1.1\r\nHost: a\r\n\(fields)\r\n"
}

private let last = "Connection: close\r\n"

@Suite("Ordinary HTTP on the port of the endpoints")
struct HTTPExchangeTests {
    @Test("responses keep the order of requests, on one connection, and a WebSocket follows them")
    func sequence() async throws {
        try await serving { exchange in
            var all = ByteBuffer()
            for try await piece in exchange.body { all.writeImmutableBuffer(piece) }
            let name = exchange.request.path ?? ""
            // The first takes longest.
            if name == "/1" { try await Task.sleep(for: .milliseconds(20)) }
            try await exchange.respond(.init(status: .ok), "\(name)=\(String(buffer: all));")
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(
                get("/1") + get("/2", "Content-Length: 3\r\n", method: "POST") + "abc"
                    + get("/3", "Transfer-Encoding: chunked\r\n", method: "PUT") + "2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"
                    + get("/4", method: "HEAD")
            )
            let answers = String(
                buffer: try await client.receive { String(buffer: $0).ranges(of: "200 OK").count == 4 }
            )
            let contents = answers.split(separator: "\r\n").filter { $0.contains("=") }
            #expect(contents.map { $0.split(separator: "HTTP")[0] } == ["/1=;", "/2=abc;", "/3=def;"], "\(answers)")
            #expect(answers.ranges(of: "Connection: close").isEmpty)
            _ = try await client.take { $0.readableBytes }
            try await client.send(Array(openingRequest("/echo").utf8) + maskedFrame(1, [0x68, 0x69]))
            let socket = try await client.receive {
                $0.readableBytesView.suffix(4).elementsEqual([0x81, 2, 0x68, 0x69])
            }
            #expect(String(buffer: socket).hasPrefix("HTTP/1.1 101 "))
            try await client.close()
        }
    }

    /// A user with a password, and a ticket in the query.
    private static let door = ServerAuthentication(
        realm: "desk",
        .basic { user, password in user == "joe" && password == "x" ? Principal("joe") : nil },
        .request { request in
            guard let ticket = request.query["ticket"] else { return .absent }
            return ticket == "7" && request.path == "/d" ? .right("ann") : .wrong
        }
    )

    @Test("a request passes the door of an endpoint, and wrong answers count against the address")
    func authenticated() async throws {
        let rows: [(path: String, fields: String, answer: String)] = [
            ("/d", "", "401 Unauthorized"), ("/d", "Authorization: Basic am9lOng=\r\n", "200 OK joe of desk"),
            ("/d?ticket=7", "", "200 OK ann of desk"), ("/d?ticket=8", "", "401 Unauthorized"),
            ("/d", "Authorization: Basic am9lOnk=\r\n", "401 Unauthorized"),
            ("/d", "Authorization: Basic am9lOng=\r\n", "403 Forbidden"),
        ]
        try await serving(.init()) {
            $0.limits.wrongAnswersPerAddress = 2
        } _: { exchange in
            let person = try await exchange.authenticate(by: Self.door)
            try await exchange.respond(.init(status: .ok), "\(person.name) of \(person.realm ?? "")")
        } body: { port in
            for row in rows {
                let client = try await RawClient.connect(port)
                try await client.send(get(row.path, last + row.fields))
                let answer = String(buffer: try await client.receive { _ in false })
                let status = answer.split(separator: "\r\n").first?.dropFirst("HTTP/1.1 ".count) ?? ""
                let person = answer.hasSuffix(" of desk") ? " " + (answer.split(separator: "\r\n").last ?? "") : ""
                #expect(status + person == row.answer, "\(row.path) \(row.fields)\(answer)")
                #expect(answer.contains("WWW-Authenticate: Basic realm=") == row.answer.hasPrefix("401"))
            }
        }
    }

    @Test("the name that a proxy has verified is there for each request of a connection, and the WebSocket behind them")
    func verifiedByProxy() async throws {
        // The PROXY header with PP2_TYPE_SSL: a certificate that is good, and its common name, joe.
        let header: [UInt8] = [
            0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A, 0x21, 0x11, 0, 26,
            203, 0, 113, 9, 127, 0, 0, 1, 0x12, 0x67, 0, 80,
            0x20, 0, 11, 0x07, 0, 0, 0, 0, 0x22, 0, 3, 0x6A, 0x6F, 0x65,
        ]
        let door = ServerAuthentication(
            realm: "desk",
            .request { request in
                guard let name = request.proxiedCertificateName else { return .absent }
                return .right(Principal(name))
            }
        )
        try await withServer {
            $0.proxyProtocol = .required(from: ["127.0.0.1"])
            $0.serveHTTP = { exchange in
                let person = try await exchange.authenticate(by: door)
                try await exchange.respond(.init(status: .ok), "page of \(person.name)")
            }
        } endpoints: {
            Endpoint("/who") { socket, request in
                try await socket.send(request.proxiedCertificateName ?? "nobody")
                for try await _ in socket.messages {}
            }
        } body: { port in
            let client = try await RawClient.connect(port)
            for bytes in [header + Array(get("/d").utf8), Array(get("/d").utf8)] {
                try await client.send(bytes)
                let page = String(buffer: try await client.receive { String(buffer: $0).hasSuffix("page of joe") })
                #expect(page.hasPrefix("HTTP/1.1 200 "), "\(page)")
                _ = try await client.take { $0.readableBytes }
            }
            try await client.send(openingRequest("/who"))
            let socket = try await client.receive {
                $0.readableBytesView.suffix(5).elementsEqual([0x81, 3, 0x6A, 0x6F, 0x65])
            }
            #expect(String(buffer: socket).hasPrefix("HTTP/1.1 101 "))
            try await client.close()
        }
    }

    static let rows: [(path: String, fields: String, starts: String, contains: String)] = [
        ("/nothing", "", "404 Not Found", "There is no endpoint"),
        ("/echo", "", "426 Upgrade Required", "Sec-WebSocket-Version: 13"),
        ("/thrown", "", "500 Internal Server Error", "500"),
        ("/refused", "", "403 Forbidden", "no\n"),
        ("/faulty", "", "500 Internal Server Error", ""),
        ("/large", "Content-Length: 2000000\r\n", "413 ", "Connection: close"),
        ("/text", "", "200 OK", "Content-Type: text/plain"),
        ("/handler", "Upgrade: h2c\r\n", "200 OK", "chunked"),
    ]

    @Test("each ends in one response", arguments: Self.rows)
    func answers(_ row: (path: String, fields: String, starts: String, contains: String)) async throws {
        struct Unknown: Error {}
        try await serving { exchange in
            switch exchange.request.path {
            case "/thrown": throw Unknown()
            case "/refused": throw HandshakeResponse.refuse(403, "no\n")
            case "/faulty": try await exchange.respond(.init(status: .init(code: 101)))
            case "/text": try await exchange.respond(.text("fine\n"))
            case "/handler": try await exchange.respond(.init(status: .ok)) { try await $0.write("piece") }
            default: break
            }
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(get(row.path, row.fields + last))
            let answer = String(buffer: try await client.receiveAll())
            #expect(answer.hasPrefix("HTTP/1.1 \(row.starts)"), "\(answer)")
            #expect(answer.contains(row.contains), "\(answer)")
            #expect(answer.ranges(of: "HTTP/1.1 ").count == 1)
        }
    }

    @Test("requests that HTTP refuses behind others get the same answers as the first of a connection (threat A22)")
    func smuggled() async throws {
        let seen = Mutex<[String]>([])
        try await serving { exchange in
            seen.withLock { $0.append(exchange.request.path ?? "") }
            try await exchange.respond(.init(status: .ok), "fine")
        } body: { port in
            for row in WireRequest.all where !row.isValid {
                let client = try await RawClient.connect(port)
                try await client.send(get("/first") + row.text(asksForUpgrade: false) + get("/smuggled"))
                let answer = String(buffer: try await client.receiveAll())
                #expect(answer.ranges(of: "HTTP/1.1 ").count == 2, "\(row.name): \(answer)")
                #expect(answer.contains("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"), "\(row.name)")
            }
        }
        #expect(Set(seen.withLock { $0 }) == ["/first"])
    }

    @Test("a client that waits for 100 gets it when the content is asked for, and no next request when it is not")
    func expectation() async throws {
        try await serving { exchange in
            guard exchange.request.path == "/take" else { return try await exchange.respond(.text("no", status: 403)) }
            let content = try await exchange.body.collect(upTo: 10)
            try await exchange.respond(.init(status: .ok), content)
        } body: { port in
            let fields = "Expect: 100-continue\r\nContent-Length: 5\r\n"
            let taken = try await RawClient.connect(port)
            try await taken.send(get("/take", fields + last, method: "PUT"))
            _ = try await taken.take { String(buffer: $0) == "HTTP/1.1 100 Continue\r\n\r\n" ? $0.readableBytes : nil }
            try await taken.send("hello")
            let answer = String(buffer: try await taken.receiveAll())
            #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.hasSuffix("\r\n\r\nhello"))
            let refused = try await RawClient.connect(port)
            try await refused.send(get("/no", fields, method: "PUT"))
            let refusal = String(buffer: try await refused.receiveAll())
            #expect(refusal.hasPrefix("HTTP/1.1 403 ") && refusal.contains(last), "\(refusal)")
        }
    }

    @Test("content that nobody reads is skipped, or ends the connection where there is much of it")
    func unread() async throws {
        try await serving {
            try await $0.respond(.text("fine"))
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(get("/a", "Content-Length: 1000\r\n", method: "POST"))
            try await client.send(String(repeating: "x", count: 1000) + get("/b", last))
            #expect(String(buffer: try await client.receiveAll()).ranges(of: "200 OK").count == 2)
            let greedy = try await RawClient.connect(port)
            try await greedy.send(get("/a", "Content-Length: 900000\r\n", method: "POST"))
            try await greedy.send(String(repeating: "x", count: 300_000))
            #expect(String(buffer: try await greedy.receiveAll()).ranges(of: "200 OK").count == 1)
        }
    }

    @Test("a slow reader suspends the writer, and an application that does not read suspends the client (threat A23)")
    func backPressure() async throws {
        let written = Mutex(0)
        let mayRead = Gate()
        let piece = ByteBuffer(repeating: 0x61, count: 16 * 1024)
        let total = 8 * 1024 * 1024
        var limits = WebSocketServer.HTTPLimits()
        limits.bodyBytes = nil
        try await serving(limits) { exchange in
            if exchange.request.method == .get {
                try await exchange.respond(.init(status: .ok)) { writer in
                    for _ in 0..<(total / piece.readableBytes) {
                        try await writer.write(piece)
                        written.withLock { $0 += piece.readableBytes }
                    }
                }
            } else {
                await mayRead.wait()
                var count = 0
                for try await piece in exchange.body { count += piece.readableBytes }
                try await exchange.respond(.text("\(count)"))
            }
        } body: { port in
            let reader = try await RawClient.connect(port)
            try await reader.setReading(false)
            try await reader.send(get("/", last))
            var before = -1
            while written.withLock({ $0 }) != before || before == 0 {
                before = written.withLock { $0 }
                try await Task.sleep(for: .milliseconds(30))
            }
            #expect(before < total)
            try await reader.setReading(true)
            #expect(try await reader.receiveAll().readableBytes > total)
            #expect(written.withLock { $0 } == total)

            let sender = try await RawClient.connect(port)
            let isSent = Mutex(false)
            async let sending: Void = {
                try await sender.send(get("/", "Content-Length: \(total)\r\n" + last, method: "PUT"))
                try await sender.send([UInt8](repeating: 0x61, count: total))
                isSent.withLock { $0 = true }
            }()
            try await Task.sleep(for: .milliseconds(30))
            #expect(!isSent.withLock { $0 })
            mayRead.open()
            try await sending
            #expect(String(buffer: try await sender.receiveAll()).hasSuffix("\r\n\r\n\(total)"))
        }
    }

    @Test("a client gets the pieces whose writes returned, and none for which a cancelled one threw (threat I9)")
    func cancelledWrites() async throws {
        let written = Mutex(0)
        let isDone = Gate()
        let piece = ByteBuffer(repeating: 0x61, count: 64 * 1024)
        try await serving { exchange in
            try await exchange.respond(.init(status: .ok)) { writer in
                await withTaskGroup(of: Int.self) { group in
                    group.cancelAll()
                    group.addTask {
                        var count = 0
                        for _ in 0..<1_000 where (try? await writer.write(piece)) != nil { count += 1 }
                        return count
                    }
                    for await count in group { written.withLock { $0 += count } }
                }
                isDone.open()
            }
        } body: { port in
            let reader = try await RawClient.connect(port)
            try await reader.setReading(false)
            try await reader.send(get("/", last))
            await isDone.wait()
            try await reader.setReading(true)
            let answer = try await reader.receiveAll()
            let count = written.withLock { $0 }
            #expect(count > 0 && count < 1_000)
            // The head and the end of the body are smaller than a piece.
            #expect(answer.readableBytes / ("10000\r\n".utf8.count + piece.readableBytes + 2) == count)
        }
    }

    @Test("a client that goes cancels the task, with a reset or an orderly end")
    func gone() async throws {
        let ends = Gate()
        var limits = WebSocketServer.HTTPLimits()
        limits.halfClosedTime = .milliseconds(20)
        try await serving(limits) { exchange in
            defer { ends.open() }
            if exchange.request.method == .put {
                await #expect(throws: HTTPExchangeError.self) { for try await _ in exchange.body {} }
            } else {
                try await Task.sleep(for: .seconds(60))
            }
        } body: { port in
            for (method, isReset) in [("GET", true), ("GET", false), ("PUT", true), ("PUT", false)] {
                ends.close()
                let client = try await RawClient.connect(port)
                try await client.send(get("/", method == "PUT" ? "Content-Length: 9\r\n" : "", method: method) + "x")
                if isReset { try await client.reset() } else { try await client.close() }
                await ends.wait()
            }
        }
    }

    @Test("a client that ends its side is answered")
    func halfClosed() async throws {
        try await serving { exchange in
            try await Task.sleep(for: .milliseconds(10))
            try await exchange.respond(.text("fine"))
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(get("/1") + get("/2"))
            try await client.endOutput()
            #expect(String(buffer: try await client.receiveAll()).ranges(of: "fine").count == 2)
        }
    }

    @Test("waits have an end: for a request, its head, its content, and for room among the exchanges (threat A23)")
    func times() async throws {
        var limits = WebSocketServer.HTTPLimits()
        limits.idleTime = .milliseconds(40)
        limits.stalledBody = .milliseconds(40)
        limits.exchanges = 1
        let isBusy = Gate()
        try await serving(limits) {
            $0.timeouts.opening = .milliseconds(300)
        } _: { exchange in
            if exchange.request.path == "/busy" {
                isBusy.open()
                try await Task.sleep(for: .seconds(60))
            }
            _ = try await exchange.body.collect(upTo: 10)
            try await exchange.respond(.text("fine"))
        } body: { port in
            let idle = try await RawClient.connect(port)
            try await idle.send(get("/"))
            let first = String(buffer: try await idle.receiveAll())
            #expect(first.hasSuffix("fine") && !first.contains("close"))
            let slowHead = try await RawClient.connect(port)
            try await slowHead.send(get("/") + "GET / HT")
            #expect(String(buffer: try await slowHead.receiveAll()).contains("fineHTTP/1.1 408 "))
            let slowBody = try await RawClient.connect(port)
            try await slowBody.send(get("/", "Content-Length: 5\r\n", method: "PUT") + "abc")
            let stalled = String(buffer: try await slowBody.receiveAll())
            #expect(stalled.hasPrefix("HTTP/1.1 408 ") && stalled.contains(last), "\(stalled)")
            let busy = try await RawClient.connect(port)
            try await busy.send(get("/busy"))
            await isBusy.wait()
            let refused = try await RawClient.connect(port)
            try await refused.send(get("/"))
            let refusal = String(buffer: try await refused.receiveAll())
            #expect(refusal.hasPrefix("HTTP/1.1 503 ") && refusal.contains("Retry-After: 1"), "\(refusal)")
            try await busy.reset()
        }
    }

    @Test("a response that breaks off does not look whole")
    func brokenOff() async throws {
        struct Lost: Error {}
        try await serving { exchange in
            try await exchange.respond(.init(status: .ok)) { writer in
                try await writer.write("half")
                throw Lost()
            }
        } body: { port in
            let client = try await RawClient.connect(port)
            try await client.send(get("/"))
            // A reset may have overtaken it.
            let answer = try? await client.receiveAll()
            #expect(answer.map { !String(buffer: $0).hasSuffix("0\r\n\r\n") } ?? true)
            // In HTTP/1.0 an orderly end of the connection is the end of the content.
            let old = try await offThread {
                let client = try BlockingSocket.connect(port)
                try client.send(Array("GET / HTTP/1.0\r\nHost: a\r\n\r\n".utf8))
                return client.receiveAll().end
            }
            #expect(old == .reset)
        }
    }

    @Test("a drain lets an exchange be completed, and ends connections that wait")
    func drain() async throws {
        let began = Gate()
        let mayEnd = Gate()
        var configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        configuration.serveHTTP = { exchange in
            began.open()
            await mayEnd.wait()
            try await exchange.respond(.text("fine"))
        }
        let server = WebSocketServer(configuration: configuration) { echo() }
        let run = Task { try await server.run() }
        let client = try await RawClient.connect(try await server.boundAddress().port ?? 0)
        try await client.send(get("/"))
        await began.wait()
        run.cancel()
        mayEnd.open()
        #expect(String(buffer: try await client.receiveAll()).hasSuffix("fine"))
        try await run.value
    }
}

/// Opened once, and waited for by a task.
private final class Gate: Sendable {
    private let state = Mutex<(isOpen: Bool, waiters: [CheckedContinuation<Void, Never>])>((false, []))

    func open() {
        let waiters = self.state.withLock { state in
            defer { state = (true, []) }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func close() { self.state.withLock { $0.isOpen = false } }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = self.state.withLock { state in
                if !state.isOpen { state.waiters.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }
}
