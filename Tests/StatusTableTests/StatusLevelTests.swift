// The levels in Specs/status-codes.json: as the section on each code has them, which goes before the table at the
// beginning of the specification (D43).

import Foundation
import Testing

@Suite("The level of each action, as the sections on the codes have it (D43)")
struct StatusLevelTests {
    private struct Row: Decodable {
        var code: Int
        var action: String
        var level: String
        var note: String?
    }

    private struct Table: Decodable {
        var codes: [Row]
    }

    /// Where the sentence does not say MUST.
    private static let weaker = [
        202: "can", 300: "SHOULD", 301: "SHOULD", 302: "SHOULD", 401: "SHOULD", 407: "MAY", 426: "MAY",
    ]

    @Test func levels() throws {
        let url = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Specs/status-codes.json")
        let table = try JSONDecoder().decode(Table.self, from: try Data(contentsOf: url))
        #expect(table.codes.count == 67)
        for row in table.codes {
            #expect(row.level == Self.weaker[row.code] ?? "MUST", "\(row.code)")
        }
        // Where the table at the beginning says something else, the row says so.
        for code in [101, 302, 307] {
            let row = try #require(table.codes.first { $0.code == code })
            #expect(row.note?.contains("table at the beginning") == true, "\(code)")
        }
    }
}
