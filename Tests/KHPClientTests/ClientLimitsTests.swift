import KHPProtocol
import Testing

@testable import KHPClient

@Suite("A client's limits and times reach the connection")
struct ClientLimitsTests {
    @Test("each limit")
    func limits() {
        var limits = WebSocketClient.Limits()
        limits.messages.messageBytes = 1
        let rows: [(WritableKeyPath<WebSocketClient.Limits, Int>, KeyPath<KHPProtocol.Limits, Int>)] = [
            (\.lineBytes, \.lineBytes), (\.headBytes, \.headBytes), (\.headerCount, \.headerCount),
            (\.extendedHeadBytes, \.extendedHeadBytes), (\.bodyBytes, \.bodyBytes),
            (\.challengeRounds, \.challengeRounds), (\.messages.fragments, \.messages.fragments),
            (\.inboundQueueMessages, \.inboundQueueMessages), (\.inboundQueueBytes, \.inboundQueueBytes),
            (\.sendBufferHighMark, \.sendBufferHighMark), (\.sendBufferLowMark, \.sendBufferLowMark),
        ]
        for (index, row) in rows.enumerated() {
            #expect(limits.ofConnection[keyPath: row.1] == limits[keyPath: row.0])
            limits[keyPath: row.0] = 1000 + index
        }
        for (index, row) in rows.enumerated() { #expect(limits.ofConnection[keyPath: row.1] == 1000 + index) }
        #expect(limits.ofConnection.messages.messageBytes == 1)
    }

    @Test("each time, and no member is left out")
    func timeouts() {
        var timeouts = WebSocketClient.Timeouts()
        typealias Row = (
            name: String, WritableKeyPath<WebSocketClient.Timeouts, Duration>, KeyPath<KHPProtocol.Timeouts, Duration>
        )
        let rows: [Row] = [
            ("total", \.total, \.total), ("connect", \.connect, \.connect), ("opening", \.opening, \.opening),
            ("extended", \.extended, \.extended), ("processing", \.processing, \.wait),
            ("challenge", \.challenge, \.challenge), ("stalledWrite", \.stalledWrite, \.stalledWrite),
            ("closeHold", \.closeHold, \.closeHold), ("close", \.close, \.close),
        ]
        for (index, row) in rows.enumerated() { timeouts[keyPath: row.1] = .seconds(1000 + index) }
        for (index, row) in rows.enumerated() {
            #expect(timeouts.ofConnection[keyPath: row.2] == .seconds(1000 + index), "\(row.name)")
        }
        timeouts.message = nil
        #expect(timeouts.ofConnection.message == nil)
        timeouts.message = .seconds(7)
        #expect(timeouts.ofConnection.message == .seconds(7))
        let members = Set(Mirror(reflecting: timeouts).children.compactMap(\.label))
        #expect(members == Set(rows.map(\.name)).union(["message"]))
    }

    @Test("the bounds that hold where nobody sets any are those of the documents")
    func defaults() {
        // All that a connection has too are the connection's own.
        #expect(WebSocketClient.Limits().ofConnection == KHPProtocol.Limits())
        #expect("\(WebSocketClient.Timeouts().ofConnection)" == "\(KHPProtocol.Timeouts())")
        #expect(WebSocketClient.Redirects().limit == 5)
        let policy = ReconnectPolicy()
        #expect(policy.initialDelay == .milliseconds(500) && policy.multiplier == 2)
        #expect(policy.maximumDelay == .seconds(30) && policy.maximumRetryAfter == .seconds(300))
        #expect(policy.stableTime == .seconds(10) && policy.attempts == nil)
    }
}
