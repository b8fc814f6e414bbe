// The status table of the specification, against the one switch that implements it.

import Foundation
import KHPProtocol
import Testing

@Suite struct StatusActionTests {
    /// requirements "Status codes: the client's action": everything that is not `close`, which is all the rest.
    static let actionable: [Int: StatusAction] = [
        101: .complete, 201: .complete, 204: .complete, 205: .complete, 202: .wait, 300: .choose, 301: .redirect,
        302: .redirect, 303: .redirect, 307: .redirect, 401: .challenge, 407: .proxyAuth, 426: .upgrade,
    ]

    @Test func everyCodeHasTheActionOfTheTable() {
        for status in 0...1000 {
            #expect(StatusAction.action(forStatus: status) == Self.actionable[status] ?? .close, "\(status)")
        }
    }

    /// D41, and KHP-E15 for 307.
    @Test(
        arguments: [
            ("GET", [300, 301, 302, 303, 307, 308]), ("HEAD", [300, 301, 302, 303]), ("POST", [301, 302, 303]),
            ("PUT", [303]), ("DELETE", [303]), ("get", [303]),
        ] as [(String, [Int])]
    )
    func followsRedirectsByMethod(method: String, followed: [Int]) {
        for status in [300, 301, 302, 303, 307, 308] {
            let action = StatusAction.action(forStatus: status, method: method, followsPermanentRedirect: true)
            let expected: StatusAction = status == 300 ? .choose : .redirect
            #expect(action == (followed.contains(status) ? expected : .close), "\(status) after \(method)")
        }
    }

    @Test func sendsTheBodyOnlyWhereItIsExpected() {
        for status in 0...1000 {
            let action = StatusAction.action(forStatus: status, expectsContinue: true)
            #expect(action == (status == 100 ? .sendBody : Self.actionable[status] ?? .close), "\(status)")
        }
    }

    @Test func follows308ByOptionOnly() {
        #expect(StatusAction.action(forStatus: 308) == .close)
        #expect(StatusAction.action(forStatus: 308, followsPermanentRedirect: true) == .redirect)
        #expect(StatusAction.action(forStatus: 308, method: "POST", followsPermanentRedirect: true) == .close)
    }

    /// D6.
    @Test func closesWith1000UponAProperRefusalAndWith1011Otherwise() {
        for status in 100...999 {
            let expected: WebSocketCloseCode = 300...599 ~= status ? .normalClosure : .internalError
            #expect(StatusAction.closeCode(forStatus: status) == expected, "\(status)")
        }
    }

    // MARK: The table as data

    private struct Table: Decodable {
        struct Row: Decodable {
            let code: Int
            let name: String
            let action: String
        }

        let codes: [Row]
    }

    private static let file = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().appendingPathComponent("../../../Specs/status-codes.json")

    private static var isThere: Bool { FileManager.default.fileExists(atPath: file.path) }

    @Test(.enabled(if: isThere)) func agreesWithTheSpecificationsTable() throws {
        let table = try JSONDecoder().decode(Table.self, from: Data(contentsOf: Self.file))
        var rows: [Int: Table.Row] = [:]
        for row in table.codes {
            #expect(rows.updateValue(row, forKey: row.code) == nil, "\(row.code) is there twice")
        }
        #expect(rows.count >= 60)
        for status in 100...699 {
            // Every condition of the table holds here: Expect was sent, the method was GET.
            let action = StatusAction.action(forStatus: status, expectsContinue: true)
            #expect(action.rawValue == rows[status]?.action ?? "close", "\(status)")
            if let row = rows[status], status != 101 {
                #expect(StatusReason.phrase(for: status) == row.name)
            }
        }
    }
}
