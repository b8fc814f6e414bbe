// `khp tunnel`: what either side sent arrives, each end is the other's end, and whatever ends badly says so.

import CommandTestSupport
import Foundation
import KHPClient
import KHPGateway
import KHPHTTP2
import KHPServer
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Testing

@testable import KHPCommand

@Suite("A tunnel", .timeLimit(.minutes(1)))
struct TunnelTests {
    /// Runs `khp tunnel` on a free port while the body runs; then asks it to drain.
    private func tunnel<R>(
        to url: String,
        _ arguments: [String] = [],
        _ body: (_ port: Int) async throws -> R
    ) async throws -> (result: R, status: Int32, errors: String) {
        let (process, pipes) = try RunningCommand.start(
            ["tunnel", "--listen", "127.0.0.1:0", "--json", "--drain", "2"] + arguments + [url]
        )
        defer { process.terminate() }
        let line = RunningCommand.firstLine(pipes.output)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(object["event"] as? String == "listening")
        #expect(object["host"] as? String == "127.0.0.1")
        let result = try await body(try #require(object["port"] as? Int))
        process.terminate()
        let errors = try await offThread { pipes.errors.fileHandleForReading.readDataToEndOfFile() }
        process.waitUntilExit()
        return (result, process.terminationStatus, String(decoding: errors, as: UTF8.self))
    }

    /// An endpoint that answers the bytes of each message with the same bytes, and records how its socket ended.
    private func answering(_ ends: AsyncStream<CloseInfo>.Continuation) -> Endpoint {
        Endpoint("/bytes") { socket in
            for try await message in socket.messages { try await socket.send(message) }
            ends.yield(try await socket.closed())
        }
    }

    @Test("bytes pass both ways; the end of the local stream closes the socket with 1000")
    func bytes() async throws {
        let (ends, end) = AsyncStream.makeStream(of: CloseInfo.self)
        let count = 3_000_000
        let ended = try await withServer {
            self.answering(end)
        } body: { port in
            try await self.tunnel(to: "ws://127.0.0.1:\(port)/bytes") { port in
                try await offThread {
                    let local = try BlockingSocket.connect(port)
                    let sender = Thread { try? local.send([UInt8](repeating: 7, count: count)) }
                    sender.start()
                    var answer: [UInt8] = []
                    while answer.count < count { answer += try local.receive(count - answer.count) }
                    #expect(answer.allSatisfy { $0 == 7 })
                    local.finish()
                    #expect(local.receiveAll().end == .orderly)
                }
                return await ends.first { _ in true }
            }
        }
        #expect(ended.result?.code == .normalClosure)
        #expect(ended.status == 0)
    }

    @Test("bytes pass over HTTP/2 as well, with each stream's end, on a connection each or on one", arguments: [2, 1])
    func overHTTP2(connections: Int) async throws {
        let peers = Mutex<Set<Int?>>([])
        let (ends, end) = AsyncStream.makeStream(of: CloseInfo.self)
        let certificates = try Certificates.shared.get()
        let tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.server).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.serverKey, format: .pem))
        )
        let count = 1_000_000
        let ended = try await withServer {
            $0.tls = tls
            $0.http2 = .init()
        } endpoints: {
            Endpoint("/bytes") { socket, request in
                _ = peers.withLock { $0.insert(request.peer?.port) }
                for try await message in socket.messages { try await socket.send(message) }
                end.yield(try await socket.closed())
            }
        } body: { port in
            try await self.tunnel(
                to: "wss://localhost:\(port)/bytes",
                ["--http2", "required", "--cacert", certificates.authority]
                    + (connections == 1 ? ["--share-connection"] : [])
            ) { port in
                try await offThread {
                    let locals = try [BlockingSocket.connect(port), BlockingSocket.connect(port)]
                    for (index, local) in locals.enumerated() {
                        let byte = UInt8(index + 1)
                        let sender = Thread { try? local.send([UInt8](repeating: byte, count: count)) }
                        sender.start()
                        var answer: [UInt8] = []
                        while answer.count < count { answer += try local.receive(count - answer.count) }
                        #expect(answer.allSatisfy { $0 == byte })
                    }
                    for local in locals {
                        local.finish()
                        #expect(local.receiveAll().end == .orderly)
                    }
                }
                var codes: [WebSocketCloseCode?] = []
                for await info in ends.prefix(2) { codes.append(info.code) }
                return codes
            }
        }
        #expect(ended.result == [.normalClosure, .normalClosure])
        #expect(peers.withLock { $0.count } == connections)
        #expect(ended.status == 0 && ended.errors.split(separator: "\n").count == 1, "\(ended.errors)")
    }

    @Test("the socket's close ends the local stream: in order after its bytes, or by a reset where it says failure")
    func socketEnds() async throws {
        let rows: [(code: WebSocketCloseCode, end: BlockingSocket.End)] = [
            (.normalClosure, .orderly), (.goingAway, .orderly), (.internalError, .reset),
        ]
        for row in rows {
            let ended = try await withServer {
                Endpoint("/bytes") { socket in
                    try await socket.send("welcome")
                    try await socket.close(code: row.code)
                }
            } body: { port in
                try await self.tunnel(to: "ws://127.0.0.1:\(port)/bytes") { port in
                    try await offThread {
                        let local = try BlockingSocket.connect(port)
                        let all = local.receiveAll()
                        local.close()
                        return all
                    }
                }
            }
            #expect(ended.result.end == row.end, "\(row.code)")
            if row.end == .orderly { #expect(ended.result.bytes == Array("welcome".utf8)) }
            #expect(ended.errors.contains("closed with 1011") == (row.end == .reset), "\(ended.errors)")
        }
    }

    @Test("a reset of the local stream is no orderly close of the socket")
    func localReset() async throws {
        let (ends, end) = AsyncStream.makeStream(of: CloseInfo.self)
        _ = try await withServer {
            self.answering(end)
        } body: { port in
            try await self.tunnel(to: "ws://127.0.0.1:\(port)/bytes") { port in
                try await offThread {
                    let local = try BlockingSocket.connect(port)
                    try local.send("x")
                    _ = try local.receive(1)
                    local.reset()
                }
                let info = await ends.first { _ in true }
                #expect(info?.code == .badGateway)
            }
        }
    }

    @Test("a connect that fails resets the accepted stream, says why, and the next one is tried anew")
    func connectFails() async throws {
        let ended = try await withServer {
            echo()
        } body: { port in
            try await self.tunnel(to: "ws://127.0.0.1:\(port)/nowhere") { port in
                for _ in 0..<2 {
                    let end = try await offThread { try BlockingSocket.connect(port).receiveAll().end }
                    #expect(end == .reset)
                }
            }
        }
        #expect(ended.status == 0)
        #expect(ended.errors.split(separator: "\n").filter { $0.contains("404 Not Found") }.count == 2)
    }

    @Test("a local stream that is reset during the connect takes the connect with it, and is no news")
    func resetDuringConnect() async throws {
        let (heads, head) = AsyncStream.makeStream(of: Void.self)
        let (ends, end) = AsyncStream.makeStream(of: Void.self)
        let ended = try await withRawServer { connection in
            // It never answers: the handshake would last until its time is over.
            try await connection.executeThenClose { inbound, _ in
                for try await _ in inbound { head.yield() }
                end.yield()
            }
        } body: { port in
            try await self.tunnel(to: "ws://127.0.0.1:\(port)/") { port in
                let local = try await offThread {
                    let local = try BlockingSocket.connect(port)
                    try local.send("early")
                    return local
                }
                _ = await heads.first { _ in true }
                local.reset()
                _ = await ends.first { _ in true }
            }
        }
        #expect(ended.status == 0)
        #expect(!ended.errors.contains("khp:"), "\(ended.errors)")
    }

    @Test("through a proxy with a login")
    func throughProxy() async throws {
        try await withServer {
            echo("/bytes")
        } body: { port in
            try await withProxy {
                try await $0.serveConnect(credentials: "Basic " + Data("joe:canary-5e".utf8).base64EncodedString())
            } body: { proxyPort, log in
                let ended = try await self.tunnel(
                    to: "ws://name.invalid:\(port)/bytes",
                    ["--proxy", "http://127.0.0.1:\(proxyPort)", "--proxy-user", "joe:canary-5e"]
                ) { port in
                    try await offThread {
                        let local = try BlockingSocket.connect(port)
                        try local.send("over there")
                        return try local.receive(10)
                    }
                }
                #expect(ended.result == Array("over there".utf8))
                #expect(log.tunnelled.contains("GET /bytes"))
                #expect(!ended.errors.contains("canary"))
            }
        }
    }

    @Test("it authenticates as connect does, and asks for subprotocols")
    func handshake() async throws {
        let ended = try await withServer {
            Endpoint(
                "/bytes",
                options: .init(
                    subprotocols: ["amqp"],
                    authentication: .init(realm: "desk", .basic { $1 == "secret" ? Principal($0) : nil })
                )
            ) { socket in
                try await socket.send(socket.negotiated.subprotocol ?? "none")
                try await socket.close()
            }
        } body: { port in
            try await self.tunnel(
                to: "ws://127.0.0.1:\(port)/bytes",
                ["--user", "joe:secret", "--subprotocol", "amqp"]
            ) { port in
                try await offThread { try BlockingSocket.connect(port).receiveAll().bytes }
            }
        }
        #expect(ended.result == Array("amqp".utf8))
        #expect(!ended.errors.contains("secret"))
    }

    @Test("with text messages a character is never torn, and bytes that are no UTF-8 end both sides")
    func text() async throws {
        let (texts, text) = AsyncStream.makeStream(of: String.self)
        _ = try await withServer {
            Endpoint("/bytes") { socket in
                do {
                    for try await message in socket.messages {
                        if case .text(let received) = message { text.yield(received) } else { text.yield("binary") }
                        try await socket.send("ok")
                    }
                } catch {
                    // The close says failure.
                }
                text.yield("\(try await socket.closed().code?.rawValue ?? 0)")
            }
        } body: { port in
            try await self.tunnel(to: "ws://127.0.0.1:\(port)/bytes", ["--frames", "text"]) { port in
                let local = try await offThread {
                    let local = try BlockingSocket.connect(port)
                    // The euro sign in two pieces, the first of which has a whole character before it.
                    try local.send([0x61, 0xE2, 0x82])
                    _ = try local.receive(2)
                    try local.send([0xAC])
                    _ = try local.receive(2)
                    try local.send([0xFF])
                    return local
                }
                var received = texts.makeAsyncIterator()
                #expect(await received.next() == "a")
                #expect(await received.next() == "€")
                #expect(await received.next() == "1007")
                #expect(try await offThread { local.receiveAll().end } == .reset)
            }
        }
    }

    @Test("where the dialect has no binary messages bytes become text, and the tunnel tells of those that are none")
    func noBinary() async throws {
        let (texts, text) = AsyncStream.makeStream(of: String.self)
        let ended = try await withServer {
            Endpoint("/bytes", options: .init(dialects: [.hixie76])) { socket in
                for try await message in socket.messages {
                    if case .text(let received) = message { text.yield(received) } else { text.yield("binary") }
                }
            }
        } body: { port in
            try await self.tunnel(
                to: "ws://127.0.0.1:\(port)/bytes",
                ["--dialect", "hixie-76", "--extended", "off"]
            ) { port in
                let local = try await offThread {
                    let local = try BlockingSocket.connect(port)
                    try local.send([0x61])
                    return local
                }
                let received = await texts.first { _ in true }
                #expect(received == "a")
                try await offThread {
                    try local.send([0xFF])
                    #expect(local.receiveAll().end == .reset)
                }
            }
        }
        #expect(ended.status == 0)
        #expect(ended.errors.contains("are no UTF-8, and this dialect has no binary messages"), "\(ended.errors)")
    }

    @Test("a file that a killed tunnel left is replaced, one that is listened at is not, and the end takes it away")
    func unixSocket() async throws {
        let path = "/tmp/khp-tunnel-\(UUID().uuidString.prefix(8))"
        let arguments = ["tunnel", "--listen", "unix:\(path)", "--json", "ws://127.0.0.1:1/"]
        let (killed, killedPipes) = try RunningCommand.start(arguments)
        #expect(RunningCommand.firstLine(killedPipes.output).contains("\"path\":\""))
        let second = try await RunningCommand.run(arguments)
        #expect(second.status == 3)
        #expect(second.errors.contains("cannot listen on unix:\(path): the address is in use\n"))
        #expect(second.event("error")?["code"] as? String == "connect-failed")
        kill(killed.processIdentifier, SIGKILL)
        killed.waitUntilExit()
        #expect(FileManager.default.fileExists(atPath: path))
        let (process, pipes) = try RunningCommand.start(arguments)
        #expect(RunningCommand.firstLine(pipes.output).contains("listening"))
        process.terminate()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(!FileManager.default.fileExists(atPath: path))
    }
}

/// The parts of a tunnel that need no process.
struct TunnelPartTests {
    @Test("a listener that is closed once more leaves the file of the next one at its path")
    func successor() async throws {
        let path = "/tmp/khp-tunnel-\(UUID().uuidString.prefix(8))"
        let relay = StreamRelay(named: "a stream")
        let eventLoop = MultiThreadedEventLoopGroup.singleton.next()
        let first = try await ByteListener.bind(to: .unix(path: path), for: relay, on: eventLoop)
        first.close()
        #expect(!FileManager.default.fileExists(atPath: path))
        let second = try await ByteListener.bind(to: .unix(path: path), for: relay, on: eventLoop)
        first.close()
        #expect(FileManager.default.fileExists(atPath: path))
        second.close()
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test("addresses as they are typed")
    func addresses() throws {
        let rows: [(String, TunnelAddress?)] = [
            ("127.0.0.1:5672", .tcp(host: "127.0.0.1", port: 5672)), ("localhost:0", .tcp(host: "localhost", port: 0)),
            ("[::1]:1", .tcp(host: "::1", port: 1)), ("unix:/run/x.sock", .unix(path: "/run/x.sock")),
            ("unix:", nil), ("5672", nil), (":5672", nil), ("::1:5672", nil), ("[]:1", nil), ("host:65536", nil),
            ("host:-1", nil), ("[::1:5", nil), ("", nil),
        ]
        for (text, address) in rows {
            #expect((try? TunnelAddress(argument: text)) == address, "\(text)")
            if let address { #expect(address.description == text) }
        }
    }
}
