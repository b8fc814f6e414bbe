import KHPGateway
import Testing

@Suite("The parts of a gateway's file together")
struct ConfigurationCheckTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var text: String
        var findings: [String]

        init(_ name: String, _ text: String, _ findings: String...) {
            self.name = name
            self.text = text
            self.findings = findings
        }

        var testDescription: String { self.name }
    }

    private static func realm(_ lines: String) -> String {
        """
        version: 1
        listeners: {a: {listen: 127.0.0.1:0}}
        realms:
          r: \(lines)
        services: {s: {path: /s, type: echo, realm: r}}
        """
    }

    private static func pool(_ lines: String) -> String {
        """
        version: 1
        listeners: {a: {listen: 127.0.0.1:0}}
        pools:
          p: \(lines)
        services: {s: {path: /s, pool: p}}
        """
    }

    private static func listener(_ lines: String, realm: String = "") -> String {
        """
        version: 1
        listeners:
          a: \(lines)
        services: {s: {path: /s, type: echo\(realm)}}
        """
    }

    private static func service(_ lines: String) -> String {
        """
        version: 1
        listeners: {a: {listen: 127.0.0.1:0}}
        pools: {mosquitto: {backends: "tcp://127.0.0.1:1883"}}
        services:
          m: {path: /m, pool: mosquitto}
          s: \(lines)
        """
    }

    static let jwt = "keys: k, algorithms: ES256, issuer: i, audience: a"

    static let cases: [Case] = [
        Case(
            "one address twice",
            "version: 1\nlisteners:\n  a: {listen: 127.0.0.1:80}\n  b: {listen: 127.0.0.1:80}\n"
                + "services: {s: {path: /s, type: echo}}",
            "4:15: listeners.b.listen: 127.0.0.1:80 is the address of listeners.a.listen in line 3 already"
        ),
        Case(
            "the admin address for others",
            ConfigurationFixture.minimal("admin: {listen: 0.0.0.0:9090}"),
            "9:17: admin.listen: 0.0.0.0:9090 is reached by other hosts: that needs tls and token; unix:PATH and "
                + "127.0.0.1:PORT do not"
        ),
        Case(
            "listeners with the names of other addresses",
            "version: 1\nadmin: {listen: 127.0.0.1:0, probes: {listen: 127.0.0.1:0}}\nlisteners:\n"
                + "  admin: {listen: 127.0.0.1:0}\n  probes: {listen: 127.0.0.1:0}\nservices: {s: {path: /s, type: echo}}",
            "4:3: listeners.admin: is how the address of admin is told; give the listener another name",
            "5:3: listeners.probes: is how the address of admin.probes is told; give the listener another name"
        ),
        Case(
            "a listener with the name of an address that there is not",
            "version: 1\nlisteners: {admin: {listen: 127.0.0.1:0}}\nservices: {s: {path: /s, type: echo}}"
        ),
        Case(
            "PROXY from nobody",
            Self.listener("{listen: 127.0.0.1:0, proxyProtocol: required, forwarded: forwarded}"),
            "3:43: listeners.a.proxyProtocol: needs trust: the addresses of the proxies that send the header",
            "3:64: listeners.a.forwarded: needs trust: the addresses of the proxies that write the field"
        ),
        Case(
            "a common name from nowhere",
            Self.listener("{listen: 127.0.0.1:0, trustClientCN: true}"),
            "3:43: listeners.a.trustClientCN: needs proxyProtocol: required, since the name stands in that header"
        ),
        Case(
            "a Unix domain socket whose peers nobody trusts",
            Self.listener("{listen: 'unix:/a', trust: 127.0.0.1, proxyProtocol: required, forwarded: forwarded}"),
            "3:59: listeners.a.proxyProtocol: needs unix in trust: the peers of a Unix domain socket have no addresses",
            "3:80: listeners.a.forwarded: needs unix in trust: the peers of a Unix domain socket have no addresses"
        ),
        Case(
            "a Unix domain socket behind a proxy",
            Self.listener("{listen: 'unix:/a', trust: unix, proxyProtocol: required, forwarded: forwarded}")
        ),
        Case(
            "Unix domain sockets where none is",
            Self.listener("{listen: 127.0.0.1:0, trust: unix, proxyProtocol: required}"),
            "3:35: warning: listeners.a.trust: unix counts with listen: unix:PATH alone",
            "3:56: listeners.a.proxyProtocol: needs trust: the addresses of the proxies that send the header"
        ),
        Case(
            "networks where clients have no addresses",
            "version: 1\nlisteners: {a: {listen: 'unix:/a'}}\n"
                + "services: {s: {path: /s, type: echo, require: {networks: 10.0.0.0/8}}}",
            "3:58: warning: services.s.require.networks: lets nobody in: the peers of a Unix domain socket have no "
                + "addresses, and no proxy names any there"
        ),
        Case(
            "services that nobody reaches",
            "version: 1\nlisteners: {a: {listen: 127.0.0.1:0}}\n"
                + "services: {s: {path: /s, type: echo, listeners: []}, t: {path: /t, type: echo}}",
            "3:49: warning: services.s.listeners: is empty: the service is reached by no listener"
        ),
        Case(
            "redirects to themselves",
            "version: 1\nlisteners: {a: {listen: 127.0.0.1:0, publicURL: 'ws://gw.example'}}\n"
                + "services: {r: {path: '/r/*', redirect: 'http://gw.example/r/x'}, o: {path: /o, redirect: 'ws://gw.example/r'}}",
            "3:40: services.r.redirect: \"http://gw.example/r/x\" is this service itself"
        ),
        Case(
            "trust in everybody",
            Self.listener("{listen: 127.0.0.1:0, trust: 0.0.0.0/0}"),
            "3:35: warning: listeners.a.trust: \"0.0.0.0/0\" believes everybody's word about addresses"
        ),
        Case(
            "a service for everybody",
            Self.listener("{listen: 0.0.0.0:80}"),
            "4:12: warning: services.s: has no realm: everybody who reaches listener a may use it"
        ),
        Case(
            "a plain URL with TLS",
            Self.listener("{listen: 127.0.0.1:0, publicURL: ws://a, tls: {certificate: c, key: k, clientCA: c}}"),
            "3:39: listeners.a.publicURL: begins with ws:// and the listener has TLS; write wss://",
            "3:87: listeners.a.tls.clientCA: counts only with clientAuth: optional or required"
        ),
        Case(
            "certificates by no authority",
            Self.listener("{listen: 127.0.0.1:0, tls: {certificate: c, key: k, clientAuth: required}}"),
            "3:70: listeners.a.tls.clientAuth: needs clientCA: the authorities of clients' certificates"
        ),
        Case(
            "binary messages for clients that have none",
            Self.service("{path: /s, pool: mosquitto, dialects: [rfc6455, hixie-76]}"),
            "6:44: warning: services.s.dialects: clients of the older dialects that have no binary messages get text, and "
                + "bytes that are no UTF-8 end their sessions; write frames: text for a protocol of text"
        ),
        Case(
            "binary messages of others for clients that have none",
            Self.service("{path: /s, type: broadcast, dialects: [rfc6455, hixie-76]}"),
            "6:44: warning: services.s.dialects: clients of the older dialects that have no binary messages do not get "
                + "those of the others"
        ),
        Case(
            "text messages for clients that have nothing else",
            Self.service("{path: /s, pool: mosquitto, frames: text, dialects: [rfc6455, hixie-76, whatwg-2010]}")
        ),
        Case(
            "binary messages for clients that agree on them",
            Self.service("{path: /s, pool: mosquitto, extended: required, dialects: [rfc6455, hixie-76]}")
        ),
        Case(
            "a realm of nothing",
            Self.realm("{groups: g}"),
            "4:3: realms.r: proves nobody: give it schemes or certificate",
            "4:15: warning: realms.r.groups: gives roles to users, and there are none; certificate.roles is for certificates"
        ),
        Case(
            "schemes without secrets",
            Self.realm("{schemes: [basic, bearer, basic]}"),
            "4:16: realms.r.schemes: a scheme stands there twice",
            "4:16: realms.r.schemes: basic and digest need users: a file that `khp hash` makes",
            "4:16: realms.r.schemes: bearer and token need jwt or users"
        ),
        Case(
            "a token without a scheme",
            Self.realm("{schemes: [basic, application-digest], users: u, token: query:t, jwt: {\(Self.jwt)}}"),
            "4:16: realms.r.schemes: mixes application schemes with others; make two realms",
            "4:62: realms.r.token: needs bearer or token among the schemes",
            "4:62: warning: realms.r.token: query:t appears in the logs of browsers and proxies",
            "4:76: realms.r.jwt: needs bearer or token among the schemes",
            "5:45: services.s.realm: mixes application schemes with others; make two services"
        ),
        Case(
            "secrets beside public keys",
            Self.realm("{schemes: bearer, jwt: {keys: k, algorithms: [RS256, HS256, RS256], issuer: i, audience: a}}"),
            "4:51: realms.r.jwt.algorithms: mixes HS256 with algorithms of public keys: whoever has the public key could "
                + "sign",
            "4:51: realms.r.jwt.algorithms: an algorithm stands there twice"
        ),
        Case(
            "a certificate that nobody asks for",
            Self.realm("{certificate: {principal: cn}}"),
            "5:45: services.s.realm: r asks for certificates, and listener a has no clientAuth"
        ),
        Case(
            "a backend twice, a check that overlaps, a header where none goes",
            Self.pool(
                "{backends: [ws://h:1, ws://h:1 backup], check: {every: 2s, timeout: 2s, send: x}, proxyProtocol: v1}"
            ),
            "4:17: pools.p.backends: \"ws://h:1/\" stands there twice",
            "4:53: pools.p.check: send and expect are for byte streams; ws backends are asked for a WebSocket",
            "4:74: pools.p.check.timeout: is not less than every; a check ends before the next begins",
            "4:103: pools.p.proxyProtocol: is for byte streams; ws and wss backends get Forwarded"
        ),
        Case(
            "TLS by halves",
            Self.pool("{backends: tcp://h:1 backup, tls: {certificate: c, verify: false}}"),
            "4:17: warning: pools.p.backends: all are backups; one that is none is usual",
            "4:40: pools.p.tls: certificate and key go together; one is missing",
            "4:40: warning: pools.p.tls: counts for tls and wss backends, and the pool has none",
            "4:65: warning: pools.p.tls.verify: takes anybody for the broker"
        ),
        Case(
            "weights of nothing",
            Self.pool("{backends: [tcp://h:1 weight=0, tcp://h:2 weight=0]}"),
            "4:17: warning: pools.p.backends: all have a weight of 0; none gets a session"
        ),
        Case("a weight of nothing", Self.pool("{backends: [tcp://h:1 weight=0, tcp://h:2]}")),
        Case(
            "names that lead nowhere",
            Self.service("{path: /s, pool: mosquito, realm: r, listeners: b}"),
            "6:23: services.s.pool: there is no pool \"mosquito\"; did you mean mosquitto?",
            "6:40: services.s.realm: there is no realm \"r\"",
            "6:54: services.s.listeners: there is no listener \"b\"; did you mean a?"
        ),
        Case(
            "two kinds",
            Self.service("{path: /s, pool: mosquitto, type: echo}"),
            "6:3: services.s: a service has one of pool, subprotocols, balance, redirect, type; here stands pool and type"
        ),
        Case(
            "no kind",
            Self.service("{path: /s}"),
            "6:3: services.s: a service has one of pool, subprotocols, balance, redirect, type; here stands none of them"
        ),
        Case(
            "one path twice",
            Self.service("{path: /m, type: echo}"),
            "6:13: services.s.path: /m on listener a is the path of services.m already"
        ),
        Case(
            "one path three times, at some listeners",
            """
            version: 1
            listeners: {a: {listen: 127.0.0.1:0}, b: {listen: 127.0.0.1:0}}
            services:
              s: {path: /m, type: echo}
              t: {path: /m, type: echo, listeners: b}
              u: {path: /m, type: echo}
            """,
            "5:13: services.t.path: /m on listener b is the path of services.s already",
            "6:13: services.u.path: /m on listener a is the path of services.s already",
            "6:13: services.u.path: /m on listener b is the path of services.t already"
        ),
        Case(
            "roles of nobody",
            Self.service("{path: /s, type: echo, require: {roles: a}, frames: text, origins: ['*', 'https://a']}"),
            "6:38: services.s.require: needs a realm: without one nobody proves anything",
            "6:58: services.s.frames: counts only beside pool",
            "6:73: services.s.origins: * lets in every page, and others stand beside it"
        ),
        Case(
            "XMPP over TCP",
            Self.service("{path: /s, subprotocols: {xmpp: {pool: mosquitto}}, withoutSubprotocol: nats}"),
            "6:45: warning: services.s.subprotocols.xmpp.pool: XMPP over WebSocket is framed otherwise than over TCP; use ws "
                + "backends",
            "6:78: services.s.withoutSubprotocol: there is no pool \"nats\""
        ),
        Case(
            "a balancer that cannot ask",
            Self.service("{path: /s, balance: {members: [ws://a/, ws://a/], by: least-sessions}}"),
            "6:36: services.s.balance.members: a member stands there twice",
            "6:60: services.s.balance.by: least-sessions needs check: the address to ask for the load"
        ),
        Case(
            "a balancer that asks other hosts without a token, as their address for balancers lets it",
            Self.service(
                "{path: /s, balance: {members: [ws://127.0.0.1/, ws://b/], by: least-sessions, check: {url: 'http://{host}:1/load'}}}"
            )
        ),
        Case(
            "a balancer that shows everybody the token",
            Self.service(
                "{path: /s, balance: {members: ws://b/, by: least-sessions, check: {url: 'http://{host}:1/load', token: t}}}"
            ),
            "6:78: warning: services.s.balance.check.url: sends the token in clear to b; write https://"
        ),
        Case(
            "a balancer that asks its own host",
            Self.service(
                "{path: /s, balance: {members: [ws://127.0.0.1/, 'ws://[::1]/'], by: least-sessions, check: {url: 'http://{host}:1/load'}}}"
            )
        ),
        Case(
            "a balancer that names itself",
            """
            version: 1
            listeners: {a: {listen: 127.0.0.1:0, publicURL: ws://gw.example.com}}
            services:
              s: {path: /s, balance: {members: [ws://gw.example.com/s, ws://gw.example.com/other, ws://gw2/s]}}
            """,
            "4:36: services.s.balance.members: \"ws://gw.example.com/s\" is this balancer itself"
        ),
        Case(
            "unknown keys, all at once",
            Self.service("{path: /s, type: eco, orgins: [], <<: {}, 'a b': c}\nservice: {}"),
            "6:23: services.s.type: \"eco\" is none of echo, broadcast; did you mean echo?",
            "6:28: services.s.orgins: unknown; did you mean origins?",
            "6:40: services.s.<<: unknown; merging is not in this format, defaults does it",
            "6:48: services.s.\"a b\": unknown",
            "7:1: service: unknown; did you mean services?"
        ),
        Case(
            "a later version's keys",
            Self.pool("{backends: tcp://h:1, slowStart: 30s, prepared: {count: 8}}"),
            "4:39: pools.p.slowStart: is not in this version; take it out, or say off",
            "4:54: pools.p.prepared: is not in this version; take it out, or say off"
        ),
        Case(
            "pools and realms of nobody",
            ConfigurationFixture.minimal("pools: {p: {backends: 'unix:/s'}}\nrealms: {r: {schemes: basic, users: u}}"),
            "9:9: warning: pools.p: is used by no service",
            "10:10: warning: realms.r: is asked by no service"
        ),
    ]

    @Test("contradict each other", arguments: Self.cases)
    func contradictions(_ one: Case) {
        // The files themselves are another matter.
        let users =
            "joe:r:5f4dcc3b5aa765d61d8327deb882cf99\njoe:$2b$04$abcdefghijklmnopqrstuuN7NK0iG5tVxz5sAfvkxl7bLWtL0kKQK"
        let findings = ConfigurationFixture.findings(one.text, files: ["u": users])
            .filter { !$0.hasSuffix("does not exist") }
        #expect(findings == one.findings.map { "gateway.yaml:" + $0 })
    }

    @Test("give each service the defaults, and its own words over them")
    func defaults() throws {
        let reading = ConfigurationFixture.read(
            """
            services:
              s: {path: /s, type: echo, limits: {perAddress: off}, ping: {every: 5s}}
              t: {path: /t, type: echo, ping: off, idle: off}
            defaults: {limits: {sessions: 7, perAddress: 3}, ping: {timeout: 9s}, idle: 1h, buffer: 8KiB}
            listeners: {a: {listen: 127.0.0.1:0}}
            version: 1
            """
        )
        let configuration = try #require(reading.configuration, "\(reading.findings)")
        let s = try #require(configuration.service("s")).rules
        let t = try #require(configuration.service("t")).rules
        #expect(s.limits.sessions == 7 && s.limits.perAddress == nil && s.limits.perPrincipal == 20)
        #expect(s.lifetime.ping?.every == .seconds(5) && s.lifetime.ping?.timeout == .seconds(9))
        #expect(s.lifetime.idle == .seconds(3600) && s.relay.buffer == 8192)
        #expect(t.lifetime.ping == nil && t.lifetime.idle == nil && t.limits.perAddress == 3)
    }

    @Test("more connections than the system has descriptors for are told of, with its number")
    func descriptors() {
        let few =
            "version: 1\nlisteners: {a: {listen: 127.0.0.1:0, connections: 450}}\nservices: {s: {path: /s, type: echo}}"
        let usual = few.replacing(", connections: 450", with: "")
        for (text, most, finding) in [
            (few, 1000, nil), (few, nil, nil), (usual, 4096, nil),
            (
                few, 999,
                "2:51: warning: listeners.a.connections: 450 connections of all listeners need 1000 descriptors, and ulimit -Hn allows 999"
            ),
        ] as [(String, Int?, String?)] {
            var surroundings = ConfigurationFixture.surroundings(text)
            surroundings.descriptors = most
            let findings = GatewayFile.read("gateway.yaml", surroundings).findings.map(\.description)
            #expect(findings == finding.map { ["gateway.yaml:" + $0] } ?? [])
        }
    }

    @Test("realms of one listener with different bounds on guesses are told which of them holds")
    func wrongAnswers() {
        for (services, listeners) in [
            ("{s: {path: /s, type: echo, realm: [r, q]}}", ["a", "b"]),
            ("{s: {path: /s, type: echo, realm: r}, t: {path: /t, type: echo, realm: q, listeners: b}}", ["b"]),
            ("{s: {path: /s, type: echo, realm: q, listeners: a}, t: {path: /t, type: echo, realm: r}}", ["a"]),
            ("{s: {path: /s, type: echo, realm: [q, r], listeners: [b, a]}}", ["a", "b"]),
            (
                "{s: {path: /s, type: echo, realm: q, listeners: a}, t: {path: /t, type: echo, realm: r, listeners: b}}",
                []
            ),
        ] as [(String, [String])] {
            let text = """
                version: 1
                listeners: {a: {listen: 127.0.0.1:0}, b: {listen: 127.0.0.1:0}}
                realms:
                  r: {schemes: basic, users: u}
                  q: {schemes: basic, users: u, wrongAnswers: {perAddress: 7}}
                services: \(services)
                """
            let findings = ConfigurationFixture.findings(text).filter { $0.contains("wrongAnswers") }
            let expected = listeners.map { listener in
                "gateway.yaml:4:3: warning: realms.r.wrongAnswers: counts at listener \(listener) together with realm q, "
                    + "and the strictest of both holds"
            }
            #expect(findings == expected)
        }
    }

    @Test("the bound on memory counts what is taken whole, and sessions up to the connections")
    func memory() throws {
        let text = """
            version: 1
            listeners: {a: {listen: 127.0.0.1:0, connections: 10}}
            pools: {t: {backends: "tcp://h:1"}, w: {backends: "ws://h:1"}}
            defaults: {buffer: 64KiB, limits: {message: 128KiB}}
            services:
              t: {path: /t, pool: t}
              w: {path: /w, pool: w, limits: {sessions: 2}}
              e: {path: /e, type: echo}
              b: {path: /b, type: broadcast, limits: {sessions: off}}
              r: {path: /r, redirect: "wss://h/"}
            """
        let configuration = try #require(ConfigurationFixture.read(text).configuration)
        let kibibytes = configuration.services.map { configuration.bufferBytes(of: $0) / 1024 }
        #expect(kibibytes == [160, 672, 352, 1376, 0])
        #expect(configuration.bufferBytes / 1024 == 10 * 160 + 2 * 672 + 10 * 352 + 10 * 1376)
    }
}
