import Foundation
import KHPGateway
import Testing

@Suite("The reference of a gateway's file")
struct ReferenceTests {
    @Test("stands in the documentation as the table of keys makes it")
    func page() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../../Documentation/swift-khp.docc/GatewayConfiguration.md")
        if ProcessInfo.processInfo.environment["KHP_WRITE_SNAPSHOTS"] != nil {
            try ConfigurationReference.page.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == ConfigurationReference.page)
    }
}
