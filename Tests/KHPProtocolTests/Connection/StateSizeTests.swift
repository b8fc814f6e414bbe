// The room that a connection takes for its own state. A server holds as many of these as it has connections, so a field
// that is added to one of them is a decision: the bound is raised with it, or the field lies elsewhere.

import Testing

@testable import KHPProtocol

struct StateSizeTests {
    /// A state's name, its bytes, and the most that they may be.
    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        let bytes: Int
        let bound: Int

        init<State>(_ state: State.Type, _ bound: Int) {
            self.name = "\(state)"
            self.bytes = MemoryLayout<State>.size
            self.bound = bound
        }

        var testDescription: String { self.name }
    }

    /// The states of an open connection, then those of its handshakes.
    static let rows: [Row] = [
        Row(Connection.self, 1000), Row(ConnectionAction.self, 32), Row(OpenSocket.self, 328), Row(FrameLink.self, 400),
        Row(FrameCodec.self, 224), Row(OutboundQueue.self, 96), Row(KeepAlive.self, 112), Row(ActionQueue.self, 56),
        Row(OpeningServer.self, 192), Row(ExtendedServer.self, 696), Row(OpeningClient.self, 992),
        Row(ExtendedClient.self, 880), Row(ClientPlan.self, 648),
        Row(ServerHandshake.State.self, 9), Row(KHPProtocol.ServerStep.self, 9),
    ]

    @Test("each state stays within its bound", arguments: rows)
    func sizes(_ row: Row) {
        #expect(row.bytes <= row.bound, "\(row.name) takes \(row.bytes) bytes")
    }
}
