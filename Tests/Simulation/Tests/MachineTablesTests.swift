// Each machine whose header has a table of states and events is visited cell by cell: by the runs of the simulation, or by a
// test of its own. A new table fails here until one of the two has it.

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

    private static func tabled() throws -> [String] {
        let sources = SimulationTests.root.appendingPathComponent("Sources")
        let files = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
        var tabled: [String] = []
        for case let file as URL in files where file.pathExtension == "swift" {
            let text = try String(contentsOf: file, encoding: .utf8)
            guard text.contains("States × events") else { continue }
            tabled.append(file.pathComponents.suffix(2).joined(separator: "/"))
        }
        return tabled
    }

    @Test("each is simulated, or walked through by a test")
    func all() throws {
        let tabled = try Self.tabled()
        #expect(Set(tabled) == Set(Self.simulated.keys).union(Self.elsewhere.keys))
        #expect(tabled.count == Self.simulated.count + Self.elsewhere.count)
        let cells = Coverage().cells.map(\.name)
        for (file, table) in Self.simulated {
            #expect(cells.contains { $0.hasPrefix("\(table): ") }, "\(file)")
        }
        for (file, walk) in Self.elsewhere {
            let test = SimulationTests.root.appendingPathComponent("Tests/\(walk.0)")
            let text = try String(contentsOf: test, encoding: .utf8)
            #expect(text.contains(walk.1), "\(file)")
            #expect(text.contains("@Test"), "\(file)")
        }
    }
}
