import Foundation
import KHPTesting
import Testing

@testable import KHPCommand

/// Credentials in the queries of URLs: nothing that the command shows or saves has them, and all else stays readable.
extension EndToEndTests {
    @Test("?token= is shown nowhere, of either side: events, ladder, trace, errors")
    func querySecrets() async throws {
        let routes = [
            "--route", "/a=redirect:/b?sid=canary-b&x=2", "--route", "/b=choices:/echo?api_key=canary-c&x=3", "--route",
            "/echo=echo", "--route", "/no=status:403:see http://h/?ticket=canary-d", "--trace",
        ]
        let (process, pipes) = try RunningCommand.start(["serve", "--port", "0", "--json"] + routes)
        defer { process.terminate() }
        var line: [UInt8] = []
        while let byte = try pipes.output.fileHandleForReading.read(upToCount: 1)?.first, byte != 0x0A {
            line.append(byte)
        }
        let listening = try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any]
        let base = "ws://127.0.0.1:\(try #require(listening?["port"] as? Int))"
        let url = "\(base)/a?x=1&%74oken=canary-a&.kl=N"
        for options in [["--extended", "required"], ["--extended", "off"], ["--dialect", "hixie-76"]] {
            let ended = try await RunningCommand.run(
                ["connect", "--json", "--trace", "--message", "hi", "--count", "1"] + options + [url]
            )
            let isOld = options.contains("hixie-76")
            #expect(ended.status == (isOld ? 4 : 0), "\(ended.errors)")
            #expect(!(ended.output + ended.errors).contains("canary"), "\(ended.output)\(ended.errors)")
            #expect(ended.event("connecting")?["url"] is String)
            for shown in [ended.output, ended.errors] {
                #expect(shown.contains("/a?x=1&%74oken=•••&.kl=N"))
                #expect(isOld || shown.contains("/b?sid=•••&x=2") && shown.contains("/echo?api_key=•••&x=3"))
            }
            if !isOld {
                #expect(ended.event("open")?["url"] as? String == "\(base)/echo?api_key=•••&x=3")
                #expect(ended.event("redirect")?["to"] as? String == "\(base)/echo?api_key=•••&x=3")
            }
        }
        let refused = try await RunningCommand.run(["connect", "--json", "\(base)/no?pwd=canary-e&x=1"])
        #expect(refused.status == 5)
        #expect(!(refused.output + refused.errors).contains("canary"), "\(refused.output)\(refused.errors)")
        #expect(refused.event("error")?["url"] as? String == "\(base)/no?pwd=•••&x=1")
        #expect(refused.errors.contains("see http://h/?ticket=•••"))
        process.terminate()
        let served = pipes.output.fileHandleForReading.readDataToEndOfFile()
        let shown = pipes.errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        for text in [String(decoding: served, as: UTF8.self), String(decoding: shown, as: UTF8.self)] {
            #expect(!text.contains("canary"), "\(text)")
            #expect(text.contains("GET /a?x=1&%74oken=•••&.kl=N HTTP/1.1"))
        }
    }

    @Test("a saved conversation holds no credential of a URL, and plays again")
    func savedWithoutSecrets() async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("khp-\(UUID().uuidString).khp")
        defer { try? FileManager.default.removeItem(at: file) }
        let routes = ["--route", "/r=redirect:/echo?sid=canary-r&x=2", "--route", "/echo=echo"]
        _ = try await RunningCommand.serving(routes) { port in
            let ended = try await RunningCommand.run([
                "connect", "--save-transcript", file.path, "--message", "hi", "--count", "1",
                "ws://127.0.0.1:\(port)/r?x=1&%74oken=canary-a",
            ])
            #expect(ended.status == 0, "\(ended.errors)")
        }
        let text = try String(contentsOf: file, encoding: .utf8)
        #expect(!text.contains("canary"), "\(text)")
        #expect(text.contains("GET /r?x=1&%74oken=hidden HTTP/1.1") && text.contains("/echo?sid=hidden&x=2"), "\(text)")
        try Transcript(text, name: "saved").play(against: .client)
    }
}
