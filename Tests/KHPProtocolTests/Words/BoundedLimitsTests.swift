// Limits that a user has set to numbers which make no sense: the machines count with them all the same.

import NIOCore
import Testing

@testable import KHPProtocol

@Suite("Limits of any number can be counted with (threat H1)")
struct BoundedLimitsTests {
    private static let numbers = [Int.min, -1, 0, 1, 1000, .max]

    @Test("none is negative or too large to be added to, and all others stay")
    func bounded() {
        let rows: [WritableKeyPath<Limits, Int>] = [
            \.lineBytes, \.headBytes, \.headerCount, \.extendedHeadBytes, \.bodyBytes, \.challengeRounds,
            \.wrongAnswers, \.messages.messageBytes, \.messages.fragments, \.messages.controlFrameBurst,
            \.messages.controlFramesPerSecond, \.inboundQueueMessages, \.inboundQueueBytes, \.sendBufferHighMark,
            \.sendBufferLowMark,
        ]
        for row in rows {
            for number in Self.numbers {
                var settings = ConnectionSettings()
                settings.limits[keyPath: row] = number
                let limits = ConnectionConfiguration(settings).limits
                #expect(limits[keyPath: row] == (number == .max ? .max / 4 : max(number, 0)))
                var others = limits
                others[keyPath: row] = Limits()[keyPath: row]
                #expect(others == Limits())
            }
        }
        let members = Mirror(reflecting: Limits()).children.count - 1
        #expect(rows.count == members + Mirror(reflecting: MessageLimits()).children.count)
    }

    @Test("the marks of what waits to be written are those that SwiftNIO takes")
    func marks() {
        for high in Self.numbers {
            for low in Self.numbers {
                var limits = Limits()
                limits.sendBufferHighMark = high
                limits.sendBufferLowMark = low
                let marks = limits.writeMarks
                #expect(1 <= marks.low && marks.low <= marks.high && marks.high < .max)
                if high == 1000, low == 1 { #expect(marks.low == 1 && marks.high == 1000) }
            }
        }
    }

    @Test("a head is read line by line")
    func heads() throws {
        for number in Self.numbers {
            var limits = Limits()
            limits.lineBytes = number
            limits.headBytes = number
            limits.headerCount = number
            var decoder = RequestHeadDecoder(limits: limits.openingHead)
            // The last line has not come as a whole: such ones are looked through byte by byte.
            var bytes = ByteBuffer(string: "GET / HTTP/1.1\r\nA: b\r\nC: d")
            let head = try? decoder.decode(&bytes)
            #expect(head == nil)
        }
    }

    @Test("a response of the Kaazing legacy exchange and the content of an early redirect are read")
    func responses() throws {
        for number in Self.numbers {
            var limits = Limits()
            limits.bodyBytes = number
            var legacy = LegacyResponseReader(limits: limits, method: "GET")
            let head = ByteBuffer(string: "HTTP/1.1 101 Web Socket Protocol Handshake\r\n\r\n")
            _ = try legacy.receive(head)
            guard case .response(let response, _, _) = try legacy.finish() else {
                Issue.record("there is no response with \(number)")
                continue
            }
            #expect(response.status == 101)
            var reader = ExtendedResponseReader(limits: limits, method: "GET")
            let redirect = ByteBuffer(string: "HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 4\r\n\r\nover")
            guard case .response(_, _, let entity, _) = try reader.receive(redirect) else {
                Issue.record("there is no redirect with \(number)")
                continue
            }
            #expect(entity.readableBytes == min(max(number, 0), 4))
        }
    }

    @Test("times add up to the longest at most")
    func times() {
        #expect(TimeAmount.nanoseconds(.max).adding(.seconds(1)) == .nanoseconds(.max))
        #expect(TimeAmount.nanoseconds(.min).adding(.seconds(-1)) == .nanoseconds(.min))
        #expect(TimeAmount.seconds(1).adding(.seconds(-3)) == .seconds(-2))
    }
}
