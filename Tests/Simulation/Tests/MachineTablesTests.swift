// Each machine whose header has a table of states and events is visited cell by cell: by the runs of the simulation, or by a
// test of its own. So is each whose states have a name in the sources, table or not. A new one fails here until one of the
// two has it.

import Foundation
import Testing

@Suite("Tables of states and events")
struct MachineTablesTests {
    /// Machines that the runs visit, with the tables of `Coverage` that hold their cells.
    private static let simulated = [
        "Connection/ClientHandshake.swift": "client",
        "Connection/ServerHandshake.swift": "server",
        "Opening/OpeningClient.swift": "client's opening handshake",
        "Opening/OpeningServer.swift": "server's opening handshake",
        "Extended/ExtendedClient.swift": "client's extended handshake",
        "Extended/ExtendedServer.swift": "server's extended handshake",
        "Framing/KeepAlive.swift": "keep-alive",
        "Client/ChallengeDialogue.swift": "dialogue",
        "Server/ServerDecisions.swift": "server's decisions",
    ]

    /// Machines that the simulation does without, with the test that walks through the cells of each.
    private static let elsewhere = [
        "Proxies/ConnectTunnel.swift": ("KHPProtocolTests/Proxies/TunnelCellsTests.swift", "func connect()"),
        "Proxies/Socks4Tunnel.swift": ("KHPProtocolTests/Proxies/TunnelCellsTests.swift", "func socks4()"),
        "Proxies/Socks5Tunnel.swift": ("KHPProtocolTests/Proxies/TunnelCellsTests.swift", "func socks5()"),
        "Server/SharedConnection.swift": (
            "KHPProtocolTests/Server/SharedConnectionCellsTests.swift", "func bytes()"
        ),
        "RFC6455/MessageReader.swift": (
            "KHPProtocolTests/Framing/MessageReaderCellsTests.swift", "func whole()"
        ),
        "KHPWebSocket/TunnelHandler.swift": (
            "KHPWebSocketTests/TunnelHandlerCellsTests.swift", "func everyCell("
        ),
        "KHPWebSocket/ConnectionHandler+Turn.swift": ("KHPWebSocketTests/HandlerStateTests.swift", "func turns("),
        "HTTP/HTTPHandler.swift": ("KHPServerTests/HTTP/HTTPHandlerCellsTests.swift", "func everyCell()"),
    ]

    /// Types with states and without a table: the places of a reader in a grammar, and machines of few words.
    private static let named = [
        "Framing/ClosingHandshake.swift": ("KHPProtocolTests/Framing/ClosingHandshakeTests.swift", "func everyCell("),
        "Server/OrdinaryRequests.swift": ("KHPProtocolTests/Server/OrdinaryCellsTests.swift", "func bytes()"),
        "Server/OrdinaryResponse.swift": ("KHPProtocolTests/Server/OrdinaryCellsTests.swift", "func responses()"),
        "HTTP/HTTPWait.swift": ("KHPServerTests/HTTP/ServedHTTPTests.swift", "HTTPWait<Int>()"),
        "Grammar/HeadScanner.swift": (
            "KHPProtocolTests/Opening/OpeningServerTests.swift", "func everyCutGivesTheSameRequest()"
        ),
        "Hixie/HixieFrameReader.swift": (
            "KHPProtocolTests/Framing/DialectFrameTests.swift", "func readsAlikeAtEveryCut("
        ),
        "WHATWG/WHATWGFrameReader.swift": (
            "KHPProtocolTests/Framing/DialectFrameTests.swift", "func readsAlikeAtEveryCut("
        ),
        "Opening/HixieResponse.swift": (
            "KHPProtocolTests/Opening/DialectOpeningClientTests.swift", "HixieResponse.Reader("
        ),
    ]

    /// States of something else than a machine: of a connection as other types have them, the place of an error, and the
    /// scripts of peers in tests.
    private static let others = [
        "Connection/Stage.swift", "Connection/StageName.swift", "Words/WebSocketError.swift",
        "KHPWebSocket/WebSocketState.swift", "Peers/ScriptedKaazingClient.swift", "Peers/ScriptedKaazingGateway.swift",
    ]

    /// The files of the library whose text has this in it, by folder and name.
    private static func files(_ isAmong: (String) -> Bool) throws -> [String] {
        let sources = SimulationTests.root.appendingPathComponent("Sources")
        let files = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
        var found: [String] = []
        for case let file as URL in files where file.pathExtension == "swift" {
            guard isAmong(try String(contentsOf: file, encoding: .utf8)) else { continue }
            found.append(file.pathComponents.suffix(2).joined(separator: "/"))
        }
        return found
    }

    private static func expectTests(_ walks: [String: (String, String)]) throws {
        for (file, walk) in walks {
            let test = SimulationTests.root.appendingPathComponent("Tests/\(walk.0)")
            let text = try String(contentsOf: test, encoding: .utf8)
            #expect(text.contains(walk.1), "\(file)")
            #expect(text.contains("@Test"), "\(file)")
        }
    }

    @Test("each is simulated, or walked through by a test")
    func all() throws {
        let tabled = try Self.files { $0.contains("States × events") }
        #expect(Set(tabled) == Set(Self.simulated.keys).union(Self.elsewhere.keys))
        #expect(tabled.count == Self.simulated.count + Self.elsewhere.count)
        let cells = Coverage().cells.map(\.name)
        for (file, table) in Self.simulated {
            #expect(cells.contains { $0.hasPrefix("\(table): ") }, "\(file)")
        }
        try Self.expectTests(Self.elsewhere)
    }

    @Test("a type with named states is one of these, or has a test of its own, or is no machine")
    func states() throws {
        let pattern = #/\benum (?:\w*State|Stage|Phase)(?:Name)?\b[^\n]*\{/#
        let files = try Set(Self.files { $0.firstMatch(of: pattern) != nil })
        let known = Set(Self.simulated.keys).union(Self.elsewhere.keys).union(Self.named.keys).union(Self.others)
        #expect(files.subtracting(known) == [])
        #expect(Set(Self.named.keys).union(Self.others).subtracting(files) == [])
        try Self.expectTests(Self.named)
    }
}
