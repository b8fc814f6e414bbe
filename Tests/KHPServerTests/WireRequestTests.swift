import HTTPTypes
import KHPServer
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite("Requests that HTTP itself refuses (RFC 9112 sections 3.2 and 6.3)")
struct WireRequestTests {
    private static func answer(_ port: Int, _ text: String) async throws -> String {
        let client = try await RawClient.connect(port)
        // The text behind it would be a second request: no handler may see it.
        try await client.send(text + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        return String(buffer: try await client.receiveAll())
    }

    @Test("400 and the end, before an endpoint, a handler or a preflight sees them")
    func table() async throws {
        let asked = Mutex<[String]>([])
        try await withServer {
            $0.respondToHTTP = { request in
                asked.withLock { $0.append("handler \(request.path ?? "")") }
                return .text("handled\n")
            }
        } endpoints: {
            Endpoint(
                "/echo",
                respond: { request in
                    asked.withLock { $0.append("endpoint \(request.path)") }
                    return .refuse(403)
                }
            )
        } body: { port in
            for row in WireRequest.all {
                for asksForUpgrade in [false, true] {
                    let name = "\(row.name), \(asksForUpgrade ? "with" : "without") an upgrade"
                    asked.withLock { $0 = [] }
                    let answer = try await Self.answer(port, row.text(asksForUpgrade: asksForUpgrade))
                    let seen = asked.withLock { $0 }
                    if row.isValid {
                        #expect(answer.hasPrefix("HTTP/1.1 \(asksForUpgrade ? 403 : 200) "), "\(name): \(answer)")
                        #expect(seen == [asksForUpgrade ? "endpoint /echo" : "handler /echo"], "\(name)")
                    } else {
                        #expect(answer.hasPrefix("HTTP/1.1 400 Bad Request\r\n"), "\(name): \(answer)")
                        #expect(answer.contains("\r\nConnection: close\r\n"), "\(name)")
                        #expect(answer.ranges(of: "HTTP/1.1 ").count == 1, "\(name)")
                        #expect(seen.isEmpty, "\(name): \(seen)")
                    }
                }
            }
            for row in WireRequest.plain {
                let answer = try await Self.answer(port, row.text(asksForUpgrade: false))
                #expect(answer.hasPrefix("HTTP/1.1 200 "), "\(row.name): \(answer)")
            }
        }
    }

    @Test("a preflight with an invalid Host gets no cookies back")
    func preflight() async throws {
        try await withServer {
            echo()
        } body: { port in
            for (lines, status) in [
                ("Host: a\r\n", 200), ("", 400), ("Host: u@a\r\n", 400), ("Host: a\r\nContent-Length: x\r\n", 400),
                ("Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
            ] {
                let text = "GET /echo/;e/cookies?.kl=Y HTTP/1.1\r\n\(lines)Cookie: a=secret\r\n\r\n"
                let answer = try await Self.answer(port, text)
                #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
                #expect(answer.contains("a=secret") == (status == 200))
            }
        }
    }

    @Test("an absolute form of our own is the path that it names, for endpoints and handlers")
    func absoluteForm() async throws {
        try await withServer {
            echo()
        } body: { port in
            for (target, status) in [("http://a/echo", 426), ("HTTP://A:80/echo?x", 426), ("https://a/no", 404)] {
                let answer = try await Self.answer(port, "GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n")
                #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(target): \(answer)")
            }
        }
    }

    @Test("hosts that are not allowed get 421, whatever they ask for (threat A14)")
    func hosts() async throws {
        try await withServer {
            $0.allowedHosts = ["good.example"]
            $0.respondToHTTP = { _ in .text("handled\n") }
        } endpoints: {
            echo()
        } body: { port in
            for (line, status) in [("Host: good.example\r\n", 200), ("Host: bad.example\r\n", 421)] {
                let answer = try await Self.answer(port, "GET /page HTTP/1.1\r\n\(line)\r\n")
                #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
            }
            #expect(try await Self.answer(port, "GET /page HTTP/1.0\r\n\r\n").hasPrefix("HTTP/1.1 421 "))
        }
    }

    @Test("with version 8 both origin fields count (threat A13)")
    func version8() async throws {
        let request = openingRequest("/guarded", extra: "@").replacing("Version: 13", with: "Version: 8")
        let origins = try OriginPolicy.allowing(["http://good.example"])
        try await withServer {
            Endpoint("/guarded", options: .init(origins: origins)) { (_: WebSocket) in }
        } body: { port in
            for (lines, status) in [
                ("Origin: http://good.example\r\n", 101), ("Sec-WebSocket-Origin: http://good.example\r\n", 101),
                ("Origin: http://evil.example\r\n", 403), ("Sec-WebSocket-Origin: http://evil.example\r\n", 403),
                ("Origin: http://evil.example\r\nSec-WebSocket-Origin: http://good.example\r\n", 400),
                ("Origin: http://good.example\r\nSec-WebSocket-Origin: http://evil.example\r\n", 400),
                ("", 101),
            ] {
                let client = try await RawClient.connect(port)
                try await client.send(request.replacing("@", with: lines))
                let answer = String(buffer: try await client.receive { $0.readableBytes > 12 })
                #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(lines): \(answer)")
                try? await client.close()
            }
        }
    }
}
