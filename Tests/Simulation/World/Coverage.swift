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
    /// The events that the machines behind the connection have to do with.
    private static let machineEvents: [Event] = [.bytes, .garbage, .end, .reset, .gone, .deadline, .close]
    private static let extendedEvents: [Event] = Self.machineEvents + [.answer, .credentials]
    private static let sides = ["client", "server"]
    private static let extensionRows = ExtensionKind.allCases.map(\.rawValue)
    private static let openEvents = Event.allCases.map(\.rawValue)
    private static let keepAliveEvents: [Event] = [.bytes, .garbage, .ping, .deadline]

    /// The machines behind a connection, each with its own states.
    private enum Machine: Int, CaseIterable {
        case openingClient, openingServer, extendedClient, extendedServer, keepAlive, closing

        var name: String {
            switch self {
            case .openingClient: "client's opening handshake"
            case .openingServer: "server's opening handshake"
            case .extendedClient: "client's extended handshake"
            case .extendedServer: "server's extended handshake"
            case .keepAlive: "keep-alive"
            case .closing: "closing handshake"
            }
        }

        var states: [String] {
            switch self {
            case .openingClient: OpeningClient.StateName.allCases.map(\.rawValue)
            case .openingServer: OpeningServer.StateName.allCases.map(\.rawValue)
            case .extendedClient: ExtendedClient.State.allCases.map(\.rawValue)
            case .extendedServer: ExtendedServer.StateName.allCases.map(\.rawValue)
            case .keepAlive: KeepAlive.State.allCases.map(\.rawValue)
            case .closing: ClosingHandshake.State.allCases.map(\.rawValue)
            }
        }

        var events: [Event] {
            switch self {
            case .openingClient, .openingServer, .closing: Coverage.machineEvents
            case .extendedClient, .extendedServer: Coverage.extendedEvents
            case .keepAlive: Coverage.keepAliveEvents
            }
        }

        /// The row of its state; `nil` where it does not run.
        func row(of side: Side) -> Int? {
            let connection = side.connection
            switch self {
            case .openingClient: return Self.place(connection.openingClientState)
            case .openingServer: return Self.place(connection.openingServerState)
            case .extendedClient: return Self.place(connection.extendedClientState)
            case .extendedServer: return Self.place(connection.extendedServerState)
            case .keepAlive: return Self.place(connection.keepAliveState)
            case .closing: return side.hasStarted ? Self.place(connection.closingState) : nil
            }
        }

        private static func place<State: CaseIterable & Equatable>(_ state: State?) -> Int? {
            guard let state else { return nil }
            return Array(State.allCases).firstIndex(of: state)
        }
    }

    private static let faults = Fault.allCases.map(\.rawValue)
    /// The stages of either role with events, then with faults.
    private var stages: [Table] = [
        Table("client", Self.clientStages.map(\.rawValue), Event.allCases.map(\.rawValue)),
        Table("server", Self.serverStages.map(\.rawValue), Event.allCases.map(\.rawValue)),
        Table("client, faults", Self.clientStages.map(\.rawValue), Self.faults),
        Table("server, faults", Self.serverStages.map(\.rawValue), Self.faults),
    ]
    private var machines = Machine.allCases.map { Table($0.name, $0.states, $0.events.map(\.rawValue)) }
    private var machinesFaults = Machine.allCases.map { Table("\($0.name), faults", $0.states, Self.faults) }
    private var dialogue = Table("dialogue", ["new", "asking"], ["begin", "credentials", "none", "time over"])
    private var dialogueFaults = Table("dialogue, faults", ["asking"], Self.faults)
    private var decisions = Table(
        "server's decisions",
        ServerDecisions.DecisionState.allCases.map(\.rawValue),
        DecisionEvent.allCases.map(\.rawValue)
    )
    private var repeats = Table("given twice", Repeated.allCases.map(\.rawValue), ["nothing"])
    private var pauses = Table("keep-alive, reading is paused", KeepAlive.State.allCases.map(\.rawValue), ["deadline"])
    private var hops = Table("hop", Self.hopKinds.map { "\($0)" }, ["opening", "extended"])
    private var status = Table("status", StatusAction.allCases.map(\.rawValue), ["client"])
    private var cuts = Table("cut", Cut.allCases.map(\.rawValue), Self.roles)
    private var statuses = Table("status code", StatusCodes.rows, ["opening", "extended"])
    private var extensions = Self.sides.map { Table("\($0)'s extensions", Self.extensionRows, Self.openEvents) }
    private var extensionFaults = Self.sides.map {
        Table("\($0)'s extensions, faults", Self.extensionRows, Self.faults)
    }
    private var connects = Table("connect", Ending.allCases.map(\.rawValue), Dialects.all.map(\.name))

    private var tables: [Table] {
        self.stages + self.machines + self.machinesFaults
            + [
                self.dialogue, self.dialogueFaults, self.decisions, self.repeats, self.pauses, self.hops, self.status,
                self.cuts, self.statuses,
            ]
            + self.extensions + self.extensionFaults + [self.connects]
    }

    /// The ends of a whole connect.
    enum Ending: String, CaseIterable { case opened, failed }

    enum Dialects { static let all: [Dialect] = [.rfc6455, .hixie75, .hixie76, .whatwg2010] }

    /// The place at which the network loses the rest of what is on its way to a side.
    enum Cut: String, CaseIterable {
        case all = "all of it is lost"
        case early = "within the first 300 bytes"
        case late = "behind them"
        case none = "behind the last byte"

        init(left: Int, of pending: Int) {
            self = left == pending ? .none : left == 0 ? .all : left < 300 ? .early : .late
        }
    }

    private static let roles = ["to the client", "to the server"]

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
        self.stages[side.role == .client ? 0 : 1].visit(Self.row(side.role, side.connection.stageName), column)
        for machine in Machine.allCases {
            guard let column = machine.events.firstIndex(of: event), let row = machine.row(of: side) else { continue }
            self.machines[machine.rawValue].visit(row, column)
        }
        guard side.connection.stageName == .open else { return }
        for kind in side.extensions {
            self.extensions[side.role == .client ? 0 : 1].visit(Self.place(kind, in: ExtensionKind.allCases), column)
        }
    }

    /// The timer of an open socket fires while its application keeps it from reading.
    mutating func visitPause(_ side: Side) {
        guard let row = Machine.keepAlive.row(of: side) else { return }
        self.pauses.visit(row, 0)
    }

    /// The place at which a fault meets a side.
    struct Place {
        fileprivate let role: Role
        fileprivate let stage: StageName
        /// The row of each machine that runs.
        fileprivate let rows: [Int?]
        fileprivate let isAsking: Bool
        fileprivate let extensions: Set<ExtensionKind>

        /// - Parameter isAsking: true where the side's handler of challenges has been asked.
        init(_ side: Side, isAsking: Bool) {
            self.role = side.role
            self.stage = side.connection.stageName
            // The closing handshake of a connection that has ended is over, however it stood.
            self.rows = Machine.allCases.map { $0 == .closing && side.isOver ? nil : $0.row(of: side) }
            self.isAsking = isAsking
            self.extensions = side.connection.stageName == .open ? side.extensions : []
        }
    }

    mutating func visit(_ place: Place, _ fault: Fault) {
        let column = Self.columnOfFault[fault] ?? 0
        self.stages[place.role == .client ? 2 : 3].visit(Self.row(place.role, place.stage), column)
        for (machine, row) in place.rows.enumerated() {
            if let row { self.machinesFaults[machine].visit(row, column) }
        }
        for kind in place.extensions {
            self.extensionFaults[place.role == .client ? 0 : 1]
                .visit(Self.place(kind, in: ExtensionKind.allCases), column)
        }
        if place.isAsking { self.dialogueFaults.visit(0, column) }
    }

    enum DialogueEvent: Int { case begin, credentials, none, timeOver }

    mutating func visitDialogue(isNew: Bool, _ event: DialogueEvent) {
        self.dialogue.visit(isNew ? 0 : 1, event.rawValue)
    }

    /// Requests and the reply, and the ends of a connection's decisions: an ordinary request is refused, the socket opens, the
    /// connection has gone.
    enum DecisionEvent: String, CaseIterable { case opening, plain, extended, reply, refusal, opened, gone }

    mutating func visit(_ state: ServerDecisions.DecisionState, _ event: DecisionEvent) {
        self.decisions.visit(
            Self.place(state, in: ServerDecisions.DecisionState.allCases),
            Self.place(event, in: DecisionEvent.allCases)
        )
    }

    /// Answers of an application's that are given a second time, which changes nothing.
    enum Repeated: String, CaseIterable {
        case accepted = "an opening request is accepted"
        case refused = "it is refused"
        case page = "an ordinary request is refused"
        case completed = "an extended request is completed"
        case answered = "it has any other answer"
        case replayed = "a login for the opening"
        case loggedIn = "a login inside"
    }

    mutating func visit(_ repeated: Repeated) {
        self.repeats.visit(Self.place(repeated, in: Repeated.allCases), 0)
    }

    mutating func visit(_ outcome: HopOutcome) {
        self.hops.visit(Self.place(outcome.kind, in: Self.hopKinds), outcome.layer == .opening ? 0 : 1)
    }

    mutating func visit(_ action: StatusAction) {
        self.status.visit(Self.place(action, in: StatusAction.allCases), 0)
    }

    mutating func visit(_ cut: Cut, to role: Role) {
        self.cuts.visit(Self.place(cut, in: Cut.allCases), role == .client ? 0 : 1)
    }

    /// A client has an answer with this status.
    mutating func visit(status: Int, in layer: HandshakeLayer) {
        self.statuses.visit(StatusCodes.row(of: status), layer == .opening ? 0 : 1)
    }

    mutating func visit(_ ending: Ending, _ dialect: Dialect) {
        self.connects.visit(Self.place(ending, in: Ending.allCases), Self.place(dialect, in: Dialects.all))
    }

    mutating func count(opened: Bool, clean: Bool) {
        self.runs += 1
        if opened { self.opened += 1 }
        if clean { self.clean += 1 }
    }

    mutating func add(_ other: Coverage) {
        for index in self.stages.indices { self.stages[index].add(other.stages[index]) }
        for index in self.machines.indices {
            self.machines[index].add(other.machines[index])
            self.machinesFaults[index].add(other.machinesFaults[index])
        }
        self.dialogue.add(other.dialogue)
        self.dialogueFaults.add(other.dialogueFaults)
        self.decisions.add(other.decisions)
        self.repeats.add(other.repeats)
        self.pauses.add(other.pauses)
        self.hops.add(other.hops)
        self.status.add(other.status)
        self.cuts.add(other.cuts)
        for index in self.extensions.indices {
            self.extensions[index].add(other.extensions[index])
            self.extensionFaults[index].add(other.extensionFaults[index])
        }
        self.statuses.add(other.statuses)
        self.connects.add(other.connects)
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
