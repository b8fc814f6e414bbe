// The cells of the machines' tables that runs have visited: stage and event, stage and fault, for each machine and role.

import KHPProtocol

struct Coverage: Sendable {
    /// A table of states against events or faults.
    struct Table: Sendable {
        let name: String
        let rows: [String]
        let columns: [String]
        private(set) var visits: [Int]

        init(_ name: String, _ rows: [String], _ columns: [String]) {
            self.name = name
            self.rows = rows
            self.columns = columns
            self.visits = Array(repeating: 0, count: rows.count * columns.count)
        }

        mutating func visit(_ row: Int, _ column: Int) { self.visits[row * self.columns.count + column] += 1 }

        mutating func add(_ other: Table) {
            for index in self.visits.indices { self.visits[index] += other.visits[index] }
        }

        /// Each cell by name, with its number of visits.
        var cells: [(name: String, visits: Int)] {
            self.rows.indices.flatMap { row in
                self.columns.indices.map { column in
                    (
                        "\(self.name): \(self.rows[row]) × \(self.columns[column])",
                        self.visits[row * self.columns.count + column]
                    )
                }
            }
        }
    }

    private static let clientStages = StageName.all(of: .client)
    private static let serverStages = StageName.all(of: .server)
    private static let clientRows = Self.places(Self.clientStages)
    private static let serverRows = Self.places(Self.serverStages)
    private static let hopKinds: [HopOutcome.Kind] = [.choose, .redirect, .balancer, .challenge, .replayLost, .upgrade]
    private static let closingStates = ClosingHandshake.State.allCases
    private static let extendedStates = ExtendedClient.State.allCases
    private static let serverStates = ExtendedServer.StateName.allCases
    /// The events that the machines behind the connection have to do with.
    private static let closingEvents: [Event] = [.bytes, .garbage, .end, .reset, .gone, .deadline, .close]
    private static let extendedEvents: [Event] = Self.closingEvents + [.answer, .credentials]

    private var tables: [Table] = [
        Table("client", Self.clientStages.map(\.rawValue), Event.allCases.map(\.rawValue)),
        Table("server", Self.serverStages.map(\.rawValue), Event.allCases.map(\.rawValue)),
        Table("client, faults", Self.clientStages.map(\.rawValue), Fault.allCases.map(\.rawValue)),
        Table("server, faults", Self.serverStages.map(\.rawValue), Fault.allCases.map(\.rawValue)),
        Table("closing handshake", Self.closingStates.map(\.rawValue), Self.closingEvents.map(\.rawValue)),
        Table("client's extended handshake", Self.extendedStates.map(\.rawValue), Self.extendedEvents.map(\.rawValue)),
        Table("server's extended handshake", Self.serverStates.map(\.rawValue), Self.extendedEvents.map(\.rawValue)),
        Table("dialogue", ["new", "asking"], ["begin", "credentials", "none", "time over"]),
        Table("hop", Self.hopKinds.map { "\($0)" }, ["opening", "extended"]),
        Table("status", StatusAction.allCases.map(\.rawValue), ["client"]),
        Table("connect", Ending.allCases.map(\.rawValue), Dialects.all.map(\.name)),
    ]

    /// The ends of a whole connect.
    enum Ending: String, CaseIterable { case opened, failed }

    enum Dialects { static let all: [Dialect] = [.rfc6455, .hixie75, .hixie76, .whatwg2010] }

    /// Runs, and those of them whose socket opened on both sides, and closed in good order on both.
    private(set) var runs = 0
    private(set) var opened = 0
    private(set) var clean = 0

    init() {}

    private static func places(_ stages: [StageName]) -> [Int] {
        StageName.allCases.map { stages.firstIndex(of: $0) ?? 0 }
    }

    private static func place<Element: Equatable>(_ element: Element, in list: [Element]) -> Int {
        list.firstIndex(of: element) ?? 0
    }

    private static let rowOfStage: [StageName: (client: Int, server: Int)] = Dictionary(
        uniqueKeysWithValues: zip(StageName.allCases, zip(Self.clientRows, Self.serverRows).map { ($0, $1) })
    )
    private static let columnOfEvent = Dictionary(uniqueKeysWithValues: zip(Event.allCases, Event.allCases.indices))
    private static let columnOfFault = Dictionary(uniqueKeysWithValues: zip(Fault.allCases, Fault.allCases.indices))

    private static func row(_ role: Role, _ stage: StageName) -> Int {
        let rows = self.rowOfStage[stage]
        return (role == .client ? rows?.client : rows?.server) ?? 0
    }

    mutating func visit(_ side: Side, _ event: Event) {
        let column = Self.columnOfEvent[event] ?? 0
        let stage = side.connection.stageName
        self.tables[side.role == .client ? 0 : 1].visit(Self.row(side.role, stage), column)
        if side.hasStarted, let column = Self.closingEvents.firstIndex(of: event) {
            self.tables[4].visit(Self.place(side.connection.closingState, in: Self.closingStates), column)
        }
        guard let column = Self.extendedEvents.firstIndex(of: event) else { return }
        if let state = side.connection.extendedClientState {
            self.tables[5].visit(Self.place(state, in: Self.extendedStates), column)
        }
        if let state = side.connection.extendedServerState {
            self.tables[6].visit(Self.place(state, in: Self.serverStates), column)
        }
    }

    /// The place at which a fault meets a side.
    struct Place {
        fileprivate let role: Role
        fileprivate let stage: StageName

        init(_ side: Side) {
            self.role = side.role
            self.stage = side.connection.stageName
        }
    }

    mutating func visit(_ place: Place, _ fault: Fault) {
        let row = Self.row(place.role, place.stage)
        self.tables[place.role == .client ? 2 : 3].visit(row, Self.columnOfFault[fault] ?? 0)
    }

    enum DialogueEvent: Int { case begin, credentials, none, timeOver }

    mutating func visitDialogue(isNew: Bool, _ event: DialogueEvent) {
        self.tables[7].visit(isNew ? 0 : 1, event.rawValue)
    }

    mutating func visit(_ outcome: HopOutcome) {
        self.tables[8].visit(
            Self.place(outcome.kind, in: Self.hopKinds),
            outcome.layer == .opening ? 0 : 1
        )
    }

    mutating func visit(_ action: StatusAction) {
        self.tables[9].visit(Self.place(action, in: StatusAction.allCases), 0)
    }

    mutating func visit(_ ending: Ending, _ dialect: Dialect) {
        self.tables[10].visit(Self.place(ending, in: Ending.allCases), Self.place(dialect, in: Dialects.all))
    }

    mutating func count(opened: Bool, clean: Bool) {
        self.runs += 1
        if opened { self.opened += 1 }
        if clean { self.clean += 1 }
    }

    mutating func add(_ other: Coverage) {
        for index in self.tables.indices { self.tables[index].add(other.tables[index]) }
        self.runs += other.runs
        self.opened += other.opened
        self.clean += other.clean
    }

    // MARK: Report

    var cells: [(name: String, visits: Int)] { self.tables.flatMap(\.cells) }

    /// Cells that no run has visited and that should be.
    var missed: [String] {
        self.cells.filter { $0.visits == 0 && Unreachable.reason(of: $0.name) == nil }.map(\.name)
    }

    /// Cells that are said to be unreachable, and were reached.
    var surprises: [String] {
        self.cells.filter { $0.visits > 0 && Unreachable.reason(of: $0.name) != nil }.map(\.name)
    }

    var summary: String {
        let lines = self.tables.map { table in
            let cells = table.cells
            let visited = cells.count { $0.visits > 0 }
            let excused = cells.count { $0.visits == 0 && Unreachable.reason(of: $0.name) != nil }
            let excuse = excused > 0 ? ", \(excused) unreachable" : ""
            return "  \(table.name): \(visited) of \(cells.count) cells visited\(excuse)"
        }
        return """
            \(self.runs) runs, \(self.opened) opened on both sides, \(self.clean) closed in good order on both
            \(lines.joined(separator: "\n"))
            """
    }
}
