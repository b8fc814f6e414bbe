// `khp gateway ctl`, where an answer is more than one page or none at all.

import CommandTestSupport
import Foundation
import HTTPTypes
import KHPServer
import NIOCore
import Synchronization
import Testing

@testable import KHPCommand

struct GatewayControlTests {
    @Test("sessions are asked for page by page, with the choice, and come out as one object")
    func pages() async throws {
        let asked = Mutex<[String]>([])
        let pages = [
            #"{"sessions":[{"id":"1","service":"],\"matching\":"},{"id":"2"}],"matching":3,"next":"2"}"#,
            #"{"sessions":[{"id":"3"}],"matching":1,"next":null}"#,
        ]
        try await withServer {
            $0.respondToHTTP = { request in
                let path = request.path ?? ""
                asked.withLock { $0.append(path) }
                return .text(pages[path.contains("after=2") ? 1 : 0] + "\n", contentType: "application/json")
            }
        } endpoints: {
            CommandTestSupport.echo()
        } body: { port in
            let ended = try await RunningCommand.run([
                "gateway", "ctl", "--admin", "127.0.0.1:\(port)", "sessions", "--principal", "joe & ann", "--service",
                "s",
            ])
            #expect(
                ended.output
                    == #"{"sessions":[{"id":"1","service":"],\"matching\":"},{"id":"2"},{"id":"3"}],"matching":3,"next":null}"#
                    + "\n"
            )
            #expect(ended.status == 0)
        }
        #expect(
            asked.withLock { $0 } == [
                "/sessions?service=s&principal=joe%20%26%20ann&limit=1000",
                "/sessions?service=s&principal=joe%20%26%20ann&limit=1000&after=2",
            ]
        )
    }

    @Test("with --json a failure is an object, and without it a line of standard error alone")
    func failures() async throws {
        let arguments = ["gateway", "ctl", "--admin", "unix:/nowhere/khp.sock", "status"]
        let plain = try await RunningCommand.run(arguments)
        #expect(plain.status == 3 && plain.output.isEmpty)
        let json = try await RunningCommand.run(arguments + ["--json"])
        #expect(json.status == 3 && json.event("error")?["code"] as? String == "connect-failed", "\(json)")
        let choice = try await RunningCommand.run(arguments + ["--service", "s"])
        #expect(choice.status == 2)
    }

    @Test(
        "done is what a gateway has answered so, and not a redirect, a page or a part of an answer",
        arguments: [
            ("302 Found\r\nContent-Length: 2\r\n\r\n{}", Ending.closedOtherwise),
            ("200 OK\r\nContent-Length: 9\r\n\r\n<p>Hi</p>", .connectFailed), ("200 OK\r\n\r\n", .connectFailed),
            ("200 OK\r\nContent-Length: 400\r\n\r\n{\"ready\":true}", .connectFailed),
            ("200 OK\r\nContent-Length: 14\r\n\r\n{\"ready\":true}", nil),
            ("200 OK\r\nTransfer-Encoding: chunked\r\n\r\ne\r\n{\"ready\":true}\r\n0\r\n\r\n", nil),
        ] as [(String, Ending?)]
    )
    func done(_ answer: String, _ status: Ending?) async throws {
        try await withRawServer { connection in
            try await connection.executeThenClose { inbound, outbound in
                for try await _ in inbound { break }
                try await outbound.write(ByteBuffer(string: "HTTP/1.1 " + answer))
            }
        } body: { port in
            let piped = PipedConsole()
            let words = ["gateway", "ctl", "--admin", "127.0.0.1:\(port)", "ready"]
            let failure = await Khp.run(words, in: .alone(console: piped.console))
            let output = try piped.text()
            #expect(failure?.status == status, "\(output)")
            if status == nil { #expect(output == "{\"ready\":true}\n") }
        }
    }
}
