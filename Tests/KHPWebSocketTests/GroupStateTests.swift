// A group's state under its lock.

import NIOCore
import Testing

@testable import KHPWebSocket

@Suite("A group's state")
struct GroupStateTests {
    @Test("a publisher that looks for room waits while a member is full, and not a moment longer")
    func room() {
        var options = WebSocketGroup.Options()
        options.slowMembers = .wait(atMost: .seconds(1))
        var state = GroupState()
        #expect(state.hasRoom(options))
        _ = state.moved(isFull: true)
        #expect(!state.hasRoom(options))
        _ = state.moved(isFull: false)
        #expect(state.hasRoom(options))
    }

    @Test("a publisher that was cancelled before it waits does not wait")
    func cancelledBefore() async {
        var state = GroupState()
        let ticket = state.ticket()
        state.giveUp(ticket).resume()
        await withUnsafeContinuation { continuation in
            let waits = state.wait(ticket, continuation)
            #expect(!waits)
            continuation.resume()
        }
    }
}
