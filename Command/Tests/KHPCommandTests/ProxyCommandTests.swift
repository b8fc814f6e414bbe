import CommandTestSupport
import Foundation
import KHPProtocol
import KHPServer
import Testing

@testable import KHPCommand

/// The command's way through a proxy: its options, its events, and what it never shows.
struct ProxyCommandTests {
    @Test("through a proxy with a login: the events name both, and nothing shows the password")
    func throughProxy() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await withProxy {
                try await $0.serveConnect(credentials: "Basic " + Data("joe:canary-5e".utf8).base64EncodedString())
            } body: { proxyPort, log in
                let ended = try await RunningCommand.run([
                    "connect", "--proxy", "http://joe:wrong@127.0.0.1:\(proxyPort)", "--proxy-user", "joe:canary-5e",
                    "--json", "--trace", "--message", "hello", "--count", "1", "ws://name.invalid:\(port)/echo",
                ])
                #expect(ended.status == 0, "\(ended.errors)")
                #expect(ended.event("connecting")?["proxy"] as? String == "http://•••@127.0.0.1:\(proxyPort)")
                #expect(ended.event("challenge")?["layer"] as? String == "proxy")
                #expect(ended.event("message")?["text"] as? String == "hello")
                #expect(ended.errors.contains("through http://•••@127.0.0.1:\(proxyPort)"))
                let shown = ended.output + ended.errors
                #expect(!shown.contains("canary") && !shown.contains(Data("joe:canary-5e".utf8).base64EncodedString()))
                #expect(log.asked.count == 2)
            }
        }
    }

    @Test("--proxy-user with a name alone takes KHP_PROXY_PASSWORD, which nothing shows")
    func passwordOfTheEnvironment() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await withProxy {
                try await $0.serveConnect(credentials: "Basic " + Data("joe:canary:5e".utf8).base64EncodedString())
            } body: { proxyPort, _ in
                let ended = try await RunningCommand.run(
                    [
                        "connect", "--proxy", "http://127.0.0.1:\(proxyPort)", "--proxy-user", "joe", "--json",
                        "--trace",
                        "--message", "hello", "--count", "1", "ws://127.0.0.1:\(port)/echo",
                    ],
                    environment: ["KHP_PROXY_PASSWORD": "canary:5e"]
                )
                #expect(ended.status == 0, "\(ended.errors)")
                #expect(!(ended.output + ended.errors).contains("canary"))
            }
        }
    }

    @Test("the environment's proxy, its exceptions, and --no-proxy")
    func environment() async throws {
        try await withServer {
            echo()
        } body: { port in
            try await withProxy {
                try await $0.serveConnect()
            } body: { proxyPort, log in
                let url = "ws://127.0.0.1:\(port)/echo"
                let arguments = ["connect", "--message", "hello", "--count", "1"]
                func run(_ more: [String], _ environment: [String: String]) async throws -> Int {
                    let before = log.connections
                    let ended = try await RunningCommand.run(arguments + more + [url], environment: environment)
                    #expect(ended.status == 0, "\(ended.errors)")
                    return log.connections - before
                }
                let proxy = "http://127.0.0.1:\(proxyPort)"
                let used = try await run([], ["http_proxy": proxy])
                #expect(used == 1)
                let excepted = try await run([], ["http_proxy": proxy, "no_proxy": "127.0.0.1"])
                #expect(excepted == 0)
                let refused = try await run(["--no-proxy"], ["http_proxy": proxy])
                #expect(refused == 0)
                let given = try await run(["--proxy", proxy], ["no_proxy": "*"])
                #expect(given == 1)
            }
        }
    }

    @Test(
        "what is wrong is named, and its password is not",
        arguments: [
            (["--proxy", "ftp://joe:canary@p"], [:], "--proxy"),
            (["--proxy", "http://p", "--proxy-user", "canary"], [:], "KHP_PROXY_PASSWORD"),
            (["--proxy", "http://p", "--proxy-user", ":canary\u{7}"], [:], "--proxy-user"),
            (["--proxy", "http://p", "--proxy-user", "joe"], ["KHP_PROXY_PASSWORD": "canary\u{7}"], "--proxy-user"),
            (["--proxy", "http://joe:canary@p", "--no-proxy"], [:], "--no-proxy"),
            ([], ["ALL_PROXY": "ftp://joe:canary@p"], "ALL_PROXY"),
        ] as [([String], [String: String], String)]
    )
    func usage(_ options: [String], _ environment: [String: String], _ name: String) async throws {
        let ended = try await RunningCommand.run(
            ["connect"] + options + ["ws://127.0.0.1:1/"],
            environment: environment
        )
        #expect(ended.status == 2)
        #expect(ended.errors.contains(name), "\(ended.errors)")
        #expect(!ended.errors.contains("canary"))
    }

    @Test("a refusal shows the proxy's words and ends with 3; credentials that are missing end with 8")
    func refusal() async throws {
        try await withProxy { client in
            let head = try await client.readHead()
            let isFirst = head.contains("first.invalid")
            try await client.write(
                isFirst
                    ? "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 17\r\n\r\nnot from the desk"
                    : "HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=\"gate\"\r\nContent-Length: 0\r\n\r\n"
            )
            try await client.waitForEnd()
        } body: { port, _ in
            let arguments = ["connect", "--json", "--proxy", "http://127.0.0.1:\(port)"]
            let refused = try await RunningCommand.run(arguments + ["ws://first.invalid/"])
            #expect(refused.status == 3)
            #expect(refused.errors.contains("not from the desk"))
            #expect(refused.event("error")?["code"] as? String == "proxy-refused")
            #expect(refused.event("error")?["status"] as? Int == 403)
            let asked = try await RunningCommand.run(arguments + ["ws://second.invalid/"])
            #expect(asked.status == 8)
            #expect(asked.errors.contains("--proxy-user"))
            #expect(asked.event("error")?["code"] as? String == "proxy-authentication-required")
        }
    }
}
