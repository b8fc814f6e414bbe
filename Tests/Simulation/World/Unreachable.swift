// Cells that no run can visit, each with the reason. A cell in none of these lists has to be visited; one that is listed
// must not be.

import KHPProtocol

enum Unreachable {
    /// Cells of one table, with the reason.
    struct Entry: Sendable {
        let table: String
        /// All rows, or all columns, where there are none.
        let rows: [String]
        let columns: [String]
        let reason: String

        init(_ table: String, _ rows: [String], _ columns: [String], _ reason: String) {
            self.table = table
            self.rows = rows
            self.columns = columns
            self.reason = reason
        }

        func covers(_ cell: String) -> Bool {
            guard let colon = cell.firstRange(of: ": "), cell[..<colon.lowerBound] == self.table,
                let cross = cell.firstRange(of: " × ")
            else { return false }
            let row = String(cell[colon.upperBound..<cross.lowerBound])
            let column = String(cell[cross.upperBound...])
            return (self.rows.isEmpty || self.rows.contains(row))
                && (self.columns.isEmpty || self.columns.contains(column))
        }
    }

    private static let asked = ["answersLate", "answersTwice", "answersNever"]

    /// Cells of both roles' tables of faults.
    private static let faults: [Entry] = ["client, faults", "server, faults"].flatMap { table in
        [
            Entry(table, ["ended"], [], "nothing makes a difference to a connection that has ended"),
            Entry(
                table,
                ["unread"],
                Fault.allCases.filter { $0 != .readsNothing }.map(\.rawValue),
                "it has ended for all but the application, which may still take nothing"
            ),
            Entry(
                table,
                ["connecting"],
                ["split", "garbage", "takeover", "neverDrains"],
                "no byte goes either way before the transport is ready: our own bug"
            ),
            Entry(
                table,
                StageName.allCases.filter { $0 != .open && $0 != .closeHeld }.map(\.rawValue),
                ["flood"],
                "only an open socket takes messages and pings"
            ),
            Entry(
                table,
                ["open", "closeHeld", "closing", "leaving"],
                Self.asked,
                "nobody is asked any more"
            ),
            Entry(table, ["closing", "leaving"], ["readsNothing"], "whoever closes takes messages in any case"),
            Entry(table, ["closing", "leaving"], ["cancelled"], "it closes already"),
        ]
    }

    private static let unbounded = "a client sets no time while its caller is asked: the caller's own is the connect's"

    /// Cells of the machines' tables of faults.
    private static let machines: [Entry] =
        [
            "client's opening handshake, faults", "server's opening handshake, faults",
            "client's extended handshake, faults", "server's extended handshake, faults", "dialogue, faults",
        ].map { Entry($0, [], ["flood"], "only an open socket takes messages and pings") } + [
            Entry("client's opening handshake, faults", ["done"], [], "the connection leaves it with its machine"),
            Entry("server's opening handshake, faults", ["refused"], [], "the connection leaves it with its machine"),
            Entry("client's extended handshake, faults", ["idle", "finished"], [], "the machine is never seen there"),
            Entry("server's extended handshake, faults", ["finished"], [], "the machine is never seen there"),
            Entry("client, faults", ["challenged", "challengedInside"], ["lateTimer"], Self.unbounded),
            Entry("client's extended handshake, faults", ["challenged"], ["lateTimer"], Self.unbounded),
            Entry("dialogue, faults", ["asking"], ["lateTimer"], Self.unbounded),
            Entry(
                "keep-alive, faults",
                [],
                Self.asked,
                "nobody is asked any more"
            ),
            Entry(
                "closing handshake, faults",
                ["closing", "closed"],
                ["answersLate", "answersTwice", "answersNever", "readsNothing", "cancelled", "flood"],
                "nobody is asked any more, and the socket closes already"
            ),
            Entry(
                "closing handshake, faults",
                ["leaving", "over"],
                [],
                "the connection ends in the same call"
            ),
        ]

    static let entries: [Entry] =
        [
            Entry(
                "client",
                ["connecting"],
                ["bytes", "garbage"],
                "no byte comes before the transport is ready: our own bug"
            ),
            Entry(
                "server",
                ["connecting"],
                ["bytes", "garbage"],
                "no byte comes before the transport is ready: our own bug"
            ),
            Entry("client", ["challenged"], ["bytes"], "nothing was asked, so an honest server says nothing"),
            Entry("client", ["closeHeld"], ["bytes"], "an honest peer says nothing behind its close frame"),
            Entry("server", ["closeHeld"], ["bytes"], "an honest peer says nothing behind its close frame"),
            Entry("client", ["unread"], ["bytes", "garbage"], "the shell reads nothing behind the end"),
            Entry("server", ["unread"], ["bytes", "garbage"], "the shell reads nothing behind the end"),
            Entry("server", ["decidingPlain"], ["bytes"], "no honest client asks for a page"),
            Entry("closing handshake", ["closed"], ["bytes"], "an honest peer says nothing behind its close frame"),
            Entry(
                "client's extended handshake",
                ["idle"],
                [],
                "the request goes out in the call that makes the machine"
            ),
            Entry(
                "client's extended handshake",
                ["finished"],
                [],
                "the connection leaves the handshake with its machine"
            ),
            Entry(
                "server's extended handshake",
                ["finished"],
                [],
                "the connection leaves the handshake with its machine"
            ),
            Entry("client's opening handshake", ["done"], [], "the connection leaves the handshake with its machine"),
            Entry(
                "server's opening handshake",
                ["refused"],
                [],
                "the connection leaves the handshake with its machine"
            ),
            Entry("dialogue", ["new"], ["credentials", "none", "time over"], "nobody has been asked yet: our own bug"),
            Entry("dialogue", ["asking"], ["begin"], "it has begun: our own bug"),
            Entry(
                "server's decisions",
                ["reading"],
                ["extended", "reply", "refusal"],
                "a bug of our own: DecisionBugTests has each of these"
            ),
            Entry("server's decisions", ["asking"], ["opening", "plain", "extended", "refusal"], "the same"),
            Entry("server's decisions", ["answeringPlain"], ["opening", "plain", "extended", "reply"], "the same"),
            Entry("server's decisions", ["accepted"], ["opening", "plain", "reply", "refusal"], "the same"),
            Entry("server's decisions", ["over"], ["opening", "plain", "extended"], "the same"),
            Entry(
                "server's decisions",
                ["reading", "answeringPlain", "over"],
                ["opened"],
                "no socket opens before anybody has looked at its request"
            ),
            Entry("hop", ["balancer"], ["opening"], "balancers speak in frames"),
            Entry("client's extensions, faults", [], Self.asked, "nobody is asked any more"),
            Entry("server's extensions, faults", [], Self.asked, "nobody is asked any more"),
            Entry("hop", ["replayLost"], ["extended"], "a replay inside has no connection of its own to lose"),
        ] + Self.faults + Self.machines

    static func reason(of cell: String) -> String? { self.entries.first { $0.covers(cell) }?.reason }
}
