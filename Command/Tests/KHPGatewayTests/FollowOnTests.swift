// One mistake, one finding: what is only wrong because something else is, is told once that is mended.

import KHPGateway
import Testing

@Suite("Errors that follow from another error of a gateway's file")
struct FollowOnTests {
    private static let good = """
        version: 1
        listeners:
          public:
            listen: 127.0.0.1:0
            tls: {certificate: c, key: k}
            trust: [127.0.0.1]
            proxyProtocol: required
        realms:
          staff: {schemes: [basic], users: users}
        pools:
          rabbit: {backends: ["tcp://127.0.0.1:5672"], check: {every: 5s, timeout: 2s}}
        services:
          amqp: {path: /amqp, realm: staff, pool: rabbit}

        """

    /// A line of the file, another in its place, and the findings but those about files.
    static let rows: [(old: String, new: String, findings: [String])] = [
        ("realms:", "relams:", ["relams: unknown; did you mean realms?"]),
        ("pools:", "poools:", ["poools: unknown; did you mean pools?"]),
        ("listeners:", "listenrs:", ["listenrs: unknown; did you mean listeners?"]),
        ("pool: rabbit", "poool: rabbit", ["services.amqp.poool: unknown; did you mean pool?"]),
        ("pool: rabbit", "pool: [1, 2]", ["services.amqp.pool: here stands a list; it takes name of a pool"]),
        ("path: /amqp", "path: amqp", ["services.amqp.path: "]),
        ("schemes: [basic]", "schemas: [basic]", ["realms.staff.schemas: unknown; did you mean schemes?"]),
        ("schemes: [basic]", "schemes: [basik]", ["realms.staff.schemes: "]),
        ("users: users", "user: users", ["realms.staff.user: unknown; did you mean users?"]),
        ("realm: staff", "relam: staff", ["services.amqp.relam: unknown; did you mean realm?"]),
        ("trust: [127.0.0.1]", "trsut: [127.0.0.1]", ["listeners.public.trsut: unknown; did you mean trust?"]),
        ("trust: [127.0.0.1]", "trust: [here]", ["listeners.public.trust: "]),
        (
            "certificate: c", "certifcate: c",
            ["listeners.public.tls.certifcate: unknown; did you mean certificate?"]
        ),
        ("every: 5s", "every: 1", ["pools.rabbit.check.every: "]),
        (
            "key: k}", "key: k, clientAuth: maybe, clientCA: ca}",
            ["listeners.public.tls.clientAuth: "]
        ),
        (
            "[\"tcp://127.0.0.1:5672\"]", "[\"tcbytes://127.0.0.1:5672\"]",
            ["pools.rabbit.backends: "]
        ),
        // Two that have nothing to do with each other are both told.
        (
            "every: 5s", "every: 1s, rise: 0",
            ["pools.rabbit.check.timeout: ", "pools.rabbit.check.rise: "]
        ),
        // The name of a key within the realm is no realm: with it, the service would be open to everybody.
        ("realm: staff", "realm: staff.users", ["services.amqp.realm: there is no realm \"staff.users\""]),
        ("pool: rabbit", "pool: rabbit.backends", ["services.amqp.pool: there is no pool \"rabbit.backends\""]),
        ("pool: rabbit", "pool: rabit", ["services.amqp.pool: there is no pool \"rabit\"; did you mean rabbit?"]),
    ]

    @Test("are not told", arguments: Self.rows)
    func told(_ row: (old: String, new: String, findings: [String])) {
        let text = Self.good.replacing(row.old, with: row.new, maxReplacements: 1)
        #expect(text != Self.good)
        let all = ConfigurationFixture.read(text, files: ["users": "joe:$2b$04$u\n"]).findings
        let found = all.filter { !$0.sentence.hasPrefix("the file ") && $0.file == "gateway.yaml" }
        let told = found.map { "\($0.key): \($0.sentence)" }
        #expect(told.count == row.findings.count, "\(row.new): \(told)")
        for begin in row.findings { #expect(told.contains { $0.hasPrefix(begin) }, "\(row.new): \(told)") }
    }

    @Test("a file without mistakes has no findings but those of its files")
    func good() {
        let all = ConfigurationFixture.read(Self.good).findings
        #expect(all.allSatisfy { $0.sentence.hasPrefix("the file ") }, "\(all)")
    }
}
