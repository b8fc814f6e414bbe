// Open sessions that a reload judges anew: by the roles that its files give their clients, not by those of their handshakes.

import HTTPTypes
import KHPClient
import KHPServer
import NIOCore
import NIOPosix
import Testing

@testable import KHPGateway

@Suite("A reload that judges open sessions anew", .timeLimit(.minutes(1)))
struct ReauthorizationTests {
    private static func materials(users: String, groups: String, realm: String = "staff") throws -> GatewayMaterials {
        let text = """
            version: 1
            listeners: {public: {listen: 127.0.0.1:0}}
            realms: {\(realm): {schemes: [bearer], users: users, groups: groups}}
            services:
              echo: {path: /echo, type: echo, realm: \(realm), require: {roles: [ops]}, reauthorize: true}
            shutdown: {drain: 0s}
            """
        let reading = ConfigurationFixture.read(text, files: ["users": users, "groups": groups])
        return GatewayMaterials(try #require(reading.loaded, "\(reading.findings)"))
    }

    private static func connect(_ gateway: BareGateway, _ name: String) async throws -> WebSocket {
        var configuration = WebSocketClient.Configuration()
        configuration.headers[.authorization] = "Bearer token-of-\(name)"
        configuration.extended.policy = .off
        return try await WebSocketClient(configuration: configuration).connect(to: gateway.url("/echo"))
    }

    private static let users = "ann:token-of-ann\njoe:token-of-joe\nbob:token-of-bob\n"

    @Test("ends those whose role or name has gone from its files, and no others")
    func revoked() async throws {
        try await BareGateway.run(Self.materials(users: Self.users, groups: "ops: ann joe bob\n")) { gateway in
            let stays = try await Self.connect(gateway, "ann")
            let gone = [try await Self.connect(gateway, "joe"), try await Self.connect(gateway, "bob")]
            _ = try await gateway.gateway.reload(
                Self.materials(users: "ann:token-of-ann\njoe:token-of-joe\n", groups: "ops: ann bob\n")
            )
            for socket in gone { #expect(try await socket.closed().code == .policyViolation) }
            try await stays.send("hello")
            #expect(try await stays.receive() == .text("hello"))
            _ = try await gateway.gateway.reload(
                Self.materials(users: Self.users, groups: "ops: ann joe bob\n", realm: "others")
            )
            #expect(try await stays.closed().reason == SessionEnd.noLongerAllowed.reason)
        }
    }

    @Test("takes the roles of a principal from where they came")
    func roles() throws {
        var realm = RealmVerifier(GatewayConfiguration.Realm(name: "r"))
        realm.userNames = ["joe"]
        realm.groups = GroupsFile.read("ops: joe\n").file
        #expect(realm.renewed(Principal("joe", realm: "r", roles: ["old"]))?.roles == ["ops"])
        #expect(realm.renewed(Principal("ann", realm: "r", roles: ["old"])) == nil)
        #expect(realm.renewed(Principal("joe", realm: "r", expires: 1)) == nil, "a certificate, of a realm without")
        var rules = GatewayConfiguration.Realm(name: "r")
        rules.certificate = .init(principal: .uri)
        realm = RealmVerifier(rules)
        realm.certificateGroups = GroupsFile.read("device: d7\n").file
        #expect(realm.renewed(Principal("d7", realm: "r", roles: ["old"], expires: 1))?.roles == ["device"])
    }

    @Test("leaves a token the roles that it has itself")
    func tokens() throws {
        var realm = RealmVerifier(GatewayConfiguration.Realm(name: "apps"))
        realm.tokens = try TokenVerifierTests.verifier(
            "public",
            [SignatureAlgorithm(rawValue: "ES256")].compactMap { $0 }
        )
        realm.groups = GroupsFile.read("ops: joe\nadmin: joe\n").file
        let token = try #require(TokenVerifierTests.lines.first { $0.name == "ES256" }).token
        let joe = try realm.principal(token: token, now: 1_800_000_000)
        #expect(joe.roles == ["ops", "trader", "admin"])
        realm.groups = GroupsFile.read("other: joe\n").file
        // The role that both have given stays.
        let renewed = try #require(realm.renewed(joe))
        #expect(renewed.roles == ["ops", "trader", "other"])
        realm.groups = GroupsFile()
        #expect(realm.renewed(renewed)?.roles == ["ops", "trader"])
        realm.tokens = nil
        #expect(realm.renewed(joe) == nil)
    }

    @Test("gives a token's principal no role that its token has only in a part of one")
    func split() throws {
        var realm = RealmVerifier(GatewayConfiguration.Realm(name: "apps"))
        realm.tokens = try TokenVerifierTests.verifier(
            "public",
            [SignatureAlgorithm(rawValue: "ES256")].compactMap { $0 }
        )
        realm.groups = GroupsFile.read("ops: joe\n").file
        let claim = try JSONText.read(Array(#"["x\u0000admin","trader"]"#.utf8))
        let joe = realm.grouped(
            Principal(
                "joe",
                realm: "apps",
                roles: TokenVerifier.roles(claim),
                claims: ["iss": "https://id.example.com/"]
            )
        )
        #expect(joe.roles == ["trader", "ops"])
        #expect(realm.renewed(joe)?.roles == ["trader", "ops"])
    }

    @Test("reaches sessions that were let in before it and open behind it")
    func late() {
        let surroundings = ServiceSurroundings(sessions: SessionTable(MultiThreadedEventLoopGroup.singleton))
        var rules = GatewayConfiguration.Service(name: "s", path: PathPattern(path: "/s"), kind: .echo)
        let old = RunningService(rules, in: surroundings)
        rules.reauthorizes = true
        rules.require = GatewayConfiguration.Requirement()
        rules.require?.principals = ["joe"]
        let new = RunningService(rules, in: surroundings)
        var facts = SessionFacts(id: "0", service: "s")
        let inForce = ServicesInForce()
        inForce.use(["s": old]) { $0 }
        #expect(inForce.end(of: facts, at: old) == nil)
        inForce.use(["s": new]) { $0 }
        #expect(inForce.end(of: facts, at: old) == .noLongerAllowed)
        facts.proof.principal = Principal("joe")
        #expect(inForce.end(of: facts, at: old) == nil)
        inForce.use([:], keeping: ["s"]) { $0 }
        #expect(inForce.end(of: facts, at: new) == nil)
        inForce.use(["s": new]) { $0 }
        inForce.use([:]) { $0 }
        #expect(inForce.end(of: facts, at: new) == .removed)
    }

    @Test("leaves alone whom the new configuration lets in before the reload is done")
    func early() {
        let surroundings = ServiceSurroundings(sessions: SessionTable(MultiThreadedEventLoopGroup.singleton))
        var rules = GatewayConfiguration.Service(name: "s", path: PathPattern(path: "/s"), kind: .echo)
        let new = RunningService(rules, in: surroundings)
        rules.reauthorizes = true
        rules.require = GatewayConfiguration.Requirement()
        rules.require?.principals = ["joe"]
        let old = RunningService(rules, in: surroundings)
        let facts = SessionFacts(id: "0", service: "s")
        for listed in [["s": old], [:]] as [[String: RunningService]] {
            let inForce = ServicesInForce()
            inForce.use(listed) { $0 }
            #expect(inForce.end(of: facts, at: new) == nil)
        }
        let inForce = ServicesInForce()
        inForce.use(["s": new]) { $0 }
        inForce.use(["s": old]) { $0 }
        #expect(inForce.end(of: facts, at: new) == .noLongerAllowed, "it has been in force")
    }

    @Test("a service goes with its gateway, though it knows those in force")
    func released() {
        let inForce = ServicesInForce()
        var surroundings = ServiceSurroundings(sessions: SessionTable(MultiThreadedEventLoopGroup.singleton))
        surroundings.inForce = inForce
        var service: RunningService? = RunningService(
            GatewayConfiguration.Service(name: "s", path: PathPattern(path: "/s"), kind: .echo),
            in: surroundings
        )
        weak let seen = service
        if let service { inForce.use(["s": service]) { $0 } }
        #expect(seen != nil)
        service = nil
        #expect(seen == nil)
    }
}
