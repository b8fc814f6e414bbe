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
            (\.lineBytes, \.lineBytes), (\.headBytes, \.headBytes), (\.fieldCount, \.fieldCount),
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
}
