// The room that a connection takes for its own state. A server holds as many of these as it has connections, so a field
// that is added to one of them is a decision: the bound is raised with it, or the field lies elsewhere.

import Testing

@testable import KHPProtocol

struct StateSizeTests {
    @Test(
        "each state stays within its bound",
        arguments: [
            ("Connection", MemoryLayout<Connection>.size, 1056),
            ("ConnectionAction", MemoryLayout<ConnectionAction>.size, 32),
        ]
    )
    func sizes(name: String, bytes: Int, bound: Int) {
        #expect(bytes <= bound, "\(name) takes \(bytes) bytes")
    }
}
