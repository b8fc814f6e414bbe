import KHPProtocol
import KHPWebSocket
import Testing

@testable import KHPServer

@Suite("A server's limits reach the connection, and an endpoint's go before them")
struct ServerLimitsTests {
    private typealias Server = WritableKeyPath<WebSocketServer.Limits, Int>
    private typealias Machine = KeyPath<KHPProtocol.Limits, Int>

    @Test("each limit of a server")
    func limits() {
        var limits = WebSocketServer.Limits()
        let rows: [(Server, Machine)] = [
            (\.lineBytes, \.lineBytes), (\.headBytes, \.headBytes), (\.headerCount, \.headerCount),
            (\.extendedHeadBytes, \.extendedHeadBytes), (\.bodyBytes, \.bodyBytes), (\.wrongAnswers, \.wrongAnswers),
            (\.messages.messageBytes, \.messages.messageBytes), (\.messages.fragments, \.messages.fragments),
            (\.inboundQueueMessages, \.inboundQueueMessages), (\.inboundQueueBytes, \.inboundQueueBytes),
            (\.sendBufferHighMark, \.sendBufferHighMark), (\.sendBufferLowMark, \.sendBufferLowMark),
        ]
        for (index, row) in rows.enumerated() {
            #expect(limits.ofConnection[keyPath: row.1] == limits[keyPath: row.0])
            limits[keyPath: row.0] = 1000 + index
        }
        for (index, row) in rows.enumerated() { #expect(limits.ofConnection[keyPath: row.1] == 1000 + index) }
    }

    @Test("an endpoint's limits begin as the server's, and change only what they name")
    func endpoint() {
        var server = WebSocketServer.Limits()
        server.headBytes = 7
        server.wrongAnswers = 8
        server.inboundQueueMessages = 9
        #expect(Endpoint.Limits(WebSocketServer.Limits()) == Endpoint.Limits())
        var limits = Endpoint.Limits(server)
        limits.messages.messageBytes = 10
        let applied = limits.applied(to: server.ofConnection)
        #expect(applied.headBytes == 7 && applied.wrongAnswers == 8)
        #expect(applied.inboundQueueMessages == 9 && applied.messages.messageBytes == 10)
    }

    @Test("the bounds that hold where nobody sets any are those of the documents")
    func defaults() {
        let limits = WebSocketServer.Limits()
        // All that a connection has too are the connection's own.
        #expect(limits.ofConnection == KHPProtocol.Limits())
        #expect("\(WebSocketServer.Timeouts().ofConnection)" == "\(KHPProtocol.Timeouts())")
        #expect(Endpoint.Limits() == Endpoint.Limits(limits))
        #expect(Endpoint.Timeouts() == Endpoint.Timeouts(WebSocketServer.Timeouts()))
        #expect(WebSocketServer.Timeouts().wrongAnswerWindow == .seconds(60))
        let others: [(WritableKeyPath<WebSocketServer.Limits, Int>, Int)] = [
            (\.wrongAnswersPerAddress, 100), (\.credentialChecksPerAddress, 4), (\.credentialChecks, 32),
            (\.credentialChecksWaiting, 1_000),
            (\.connections, 10_000), (\.pendingHandshakes, 2_000), (\.pendingHandshakesPerAddress, 256),
        ]
        for (path, expected) in others { #expect(limits[keyPath: path] == expected) }
        let nonces = DigestNonceOptions()
        #expect(nonces.lifetime == .seconds(300) && nonces.capacity == 65_536)
        #expect(DigestNonceOptions.minimumKeyBytes == 16)
        let configuration = WebSocketServer.Configuration(address: .hostname("127.0.0.1", port: 0))
        #expect(configuration.gracefulShutdownTimeout == .seconds(10))
        let group = WebSocketGroup.Options()
        #expect(group.queuedMessages == 64 && group.queuedBytes == 1 << 20 && group.queuedPublications == 1024)
    }
}
