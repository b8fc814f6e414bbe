// The bytes that each connection carries, against bounds: ten thousand idle ones are this many times ten thousand.

import KHPProtocol
import Testing

@testable import KHPWebSocket

@Suite("Sizes of state")
struct StateSizeTests {
    /// The bounds are what was measured last, and some room for one more property. Whoever has to raise one says in the
    /// commit for what the bytes are.
    @Test(
        "no state of a connection has grown",
        arguments: [
            ("Connection", MemoryLayout<Connection>.size, 1600),
            ("MessageReader", MemoryLayout<MessageReader>.size, 400),
            ("OutboundQueue", MemoryLayout<OutboundQueue>.size, 96),
            ("UsedMemory", MemoryLayout<UsedMemory>.size, 48),
            ("MessageChunk", MemoryLayout<MessageChunk>.size, 32),
            ("CloseInfo", MemoryLayout<CloseInfo>.size, 128),
            ("WebSocketError", MemoryLayout<WebSocketError>.size, 64),
        ]
    )
    func sizes(_ name: String, _ size: Int, _ bound: Int) {
        #expect(size <= bound, "\(name)")
    }
}
