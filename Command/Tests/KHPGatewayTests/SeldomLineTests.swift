// Lines of a log that a flood of clients would bring.

import CommandTestSupport
import Logging
import NIOCore
import Synchronization
import Testing

@testable import KHPGateway

@Suite("Lines that come often")
struct SeldomLineTests {
    private static let start = NIODeadline.uptimeNanoseconds(1_000_000_000)

    private static func log(_ lines: BareGateway.Lines, period: TimeAmount = .seconds(1)) -> GatewayLog {
        GatewayLog(instance: "gw", .init(), period: period) { lines.add($0) }
    }

    @Test("ten of a kind in a second have a line each")
    func bucket() {
        let lines = BareGateway.Lines()
        let log = Self.log(lines, period: .hours(1))
        for number in 0..<60 {
            log.writeSeldom(.info, "e", kind: "a", "\(number)", now: Self.start + .milliseconds(Int64(number)))
        }
        log.writeSeldom(.info, "e", kind: "b", "another", now: Self.start)
        #expect(lines.with("\"e\"").count == 11)
        #expect(lines.with("suppressed").isEmpty)
        log.writeSeldom(.info, "e", kind: "a", "later", now: Self.start + .seconds(3601))
        #expect(lines.with("later", #""suppressed":50"#).count == 1)
    }

    @Test("no line is left out without a word: those of a second come behind it, or with the end")
    func leftOver() async {
        let lines = BareGateway.Lines()
        let log = Self.log(lines, period: .milliseconds(20))
        for number in 0..<4 { log.writeSeldom(.info, "e", kind: "a", most: 1, "\(number)", [("n", .integer(number))]) }
        #expect(lines.with("\"e\"").count == 1)
        #expect(await Patience.wait { lines.with(#""msg":"3""#, #""n":3,"suppressed":2"#).first } != nil)
        let other = Self.log(lines, period: .hours(1))
        for number in 0..<2 { other.writeSeldom(.info, "f", kind: "a", most: 1, "\(number)") }
        other.writeLeftOut()
        other.writeLeftOut()
        #expect(lines.with("\"f\"").count == 2)
        #expect(lines.with("\"f\"", "suppressed").isEmpty)
    }

    @Test("two refusals within a second have a line each, and a limit has one")
    func refusals() async throws {
        try await BareGateway.run {
            $0.services[0].rules.limits.sessions = 0
        } body: { gateway in
            for path in ["/b", "/none", "/echo", "/echo"] { _ = try await gateway.status(path) }
            #expect(gateway.lines.with("handshake.refused", "\"status\":404").count == 2)
            #expect(gateway.lines.with("handshake.refused", "\"status\":503").count == 2)
            #expect(gateway.lines.with("limit.hit").count == 1)
            _ = await gateway.gateway.shutDown()
            #expect(gateway.lines.with("limit.hit").count == 2, "the end tells of what was left out")
        }
    }

    @Test("the library's fields have names that programs can use")
    func fields() {
        let lines = BareGateway.Lines()
        let log = Self.log(lines)
        let logger = Logger(label: "test") { _ in LibraryLog(log) }
        let words: Logger.Message = "connection refused: its PROXY header is wrong"
        logger.notice(words, metadata: ["first bytes": "GET", "listener": "a"])
        #expect(lines.with(#""event":"connection.refused""#, #""first_bytes":"GET""#, #""listener":"a""#).count == 1)
    }
}
