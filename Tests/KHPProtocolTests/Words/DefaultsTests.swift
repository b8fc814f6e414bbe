import KHPProtocol
import NIOCore
import Testing

/// Documents, threats and the configurations of client and server name these figures: one that changes unseen would make
/// all of them wrong, and no other test ask for it.
@Suite("The bounds that hold where nobody sets any")
struct DefaultsTests {
    /// The members of a value, by name; none can be left out.
    private func members(_ value: Any) -> [String: String] {
        Dictionary(
            uniqueKeysWithValues: Mirror(reflecting: value).children.map { child in
                let text = "\(child.value)"
                return (child.label ?? "", text.hasPrefix("Optional(") ? String(text.dropFirst(9).dropLast()) : text)
            }
        )
    }

    @Test("sizes and numbers of a connection")
    func limits() {
        var found = self.members(Limits())
        found["messages"] = nil
        #expect(
            found == [
                "lineBytes": "8192", "headBytes": "32768", "headerCount": "100", "extendedHeadBytes": "16384",
                "bodyBytes": "65536", "challengeRounds": "4", "wrongAnswers": "3", "inboundQueueMessages": "64",
                "inboundQueueBytes": "1048576", "sendBufferHighMark": "65536", "sendBufferLowMark": "32768",
            ]
        )
        #expect(
            self.members(MessageLimits()) == [
                "messageBytes": "1048576", "fragments": "1024", "controlFrameBurst": "100",
                "controlFramesPerSecond": "20",
            ]
        )
        #expect(HeadLimits() == HeadLimits(lineBytes: 8192, headBytes: 32_768, fieldCount: 100))
    }

    @Test("times of a connection")
    func timeouts() {
        #expect(
            self.members(Timeouts()) == [
                "total": "30.0 seconds", "connect": "10.0 seconds", "opening": "10.0 seconds",
                "extended": "10.0 seconds", "wait": "30.0 seconds", "challenge": "120.0 seconds",
                "replay": "60.0 seconds", "message": "180.0 seconds", "stalledWrite": "20.0 seconds",
                "closeHold": "2.0 seconds", "close": "10.0 seconds",
            ]
        )
        #expect(
            self.members(KeepAliveConfiguration()) == [
                "pingInterval": "20.0 seconds", "pongTimeout": "20.0 seconds", "idleTimeout": "nil",
            ]
        )
    }

    @Test("bounds that nobody sets")
    func fixed() {
        typealias Fixed = Limits.Fixed
        let rows: [(name: String, found: Int, expected: Int)] = [
            ("extendedMessages", Fixed.extendedMessages, 16), ("extendedFragments", Fixed.extendedFragments, 64),
            ("guessingAddresses", Fixed.guessingAddresses, 65_536), ("racingAddresses", Fixed.racingAddresses, 8),
            ("turnedAway", Fixed.turnedAway, 64), ("provisionalResponses", Fixed.provisionalResponses, 8),
            ("processingResponses", Fixed.processingResponses, 3), ("balancerMessages", Fixed.balancerMessages, 2),
            ("legacyHeads", Fixed.legacyHeads, 4), ("connectsThroughProxies", Fixed.connectsThroughProxies, 32),
            ("keepAliveIdleSeconds", Fixed.keepAliveIdleSeconds, 60),
            ("keepAliveIntervalSeconds", Fixed.keepAliveIntervalSeconds, 15),
            ("keepAliveProbes", Fixed.keepAliveProbes, 4),
            ("controlPayloadBytes", Fixed.controlPayloadBytes, 125),
            ("closeReasonBytes", Fixed.closeReasonBytes, 123), ("outstandingPings", Fixed.outstandingPings, 64),
            ("hixieLengthBytes", Fixed.hixieLengthBytes, 9), ("hixieHeadBytes", Fixed.hixieHeadBytes, 8192),
            ("messages of the extended handshake", Limits.extendedHandshakeMessages.messageBytes, 16_384 + 65_536),
            ("fragments of these", Limits.extendedHandshakeMessages.fragments, 64),
            ("cookies of a domain", CookieJar.maximumPerDomain, 50), ("cookies", CookieJar.maximum, 3000),
        ]
        for row in rows { #expect(row.found == row.expected, "\(row.name)") }
        #expect(Fixed.contentWait == .seconds(2))
        #expect(Fixed.continueWait == .seconds(1))
        #expect(Fixed.connectionAttemptDelay == .milliseconds(250))
    }

    @Test("permessage-deflate")
    func deflate() {
        let deflate = PerMessageDeflate()
        #expect(deflate.windowBits == 12 && deflate.peerWindowBits == 15)
        #expect(deflate.memoryLevel == 5 && deflate.level == 6 && deflate.threshold == 64)
    }
}
