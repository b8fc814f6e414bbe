// Certificates and their verdicts: one row for each kind of certificate, one verdict for each kind of host. The ways
// there and the hops follow by rule: they change nothing.

import NIOSSL
import TestSupport

/// The end of a client's look at a certificate.
enum IdentityVerdict: String {
    case letIn = "let in"
    /// The names are of somebody else (RFC 9525).
    case wrongHost = "wrong-host"
    /// No chain to a trusted authority, or one that is not for a server.
    case untrusted = "untrusted-certificate"
    /// Expired, or not valid yet.
    case outdated = "outdated-certificate"
}

/// The host as a URL has it.
enum HostKind: String, CaseIterable {
    case name, ipv4, ipv6

    /// Directly the addresses are this machine's. Beyond a proxy they are others, so that the address of the connection
    /// is never the URL's.
    func host(direct: Bool) -> String {
        switch self {
        case .name: "gw.example.test"
        case .ipv4: direct ? "127.0.0.1" : "192.0.2.7"
        case .ipv6: direct ? "::1" : "2001:db8::7"
        }
    }
}

/// One kind of certificate.
struct IdentityRow: Sendable {
    /// As Specs/tls-identity.md has it.
    var name: String
    var verdicts: [HostKind: IdentityVerdict]
    /// The certificate's names are those of the connection to the proxy, which are right where there is none.
    var onlyBeyondProxies = false
    var issue: @Sendable (IdentityAuthorities) throws -> IdentityPresented

    init(
        _ name: String,
        _ verdicts: (name: IdentityVerdict, ipv4: IdentityVerdict, ipv6: IdentityVerdict),
        onlyBeyondProxies: Bool = false,
        _ issue: @escaping @Sendable (IdentityAuthorities) throws -> IdentityPresented
    ) {
        self.name = name
        self.verdicts = [.name: verdicts.name, .ipv4: verdicts.ipv4, .ipv6: verdicts.ipv6]
        self.onlyBeyondProxies = onlyBeyondProxies
        self.issue = issue
    }
}

/// A server's chain and key, and roots that a client trusts for it beside the authority's.
struct IdentityPresented: Sendable {
    var chain: [NIOSSLCertificateSource]
    var key: NIOSSLPrivateKeySource
    var roots: [NIOSSLCertificate] = []

    init(_ issued: CertificateAuthority.Issued, behind others: [NIOSSLCertificateSource] = []) {
        self.chain = issued.chain + others
        self.key = issued.key
    }
}

/// The authorities that sign: a trusted root, what stands under it, and a stranger.
struct IdentityAuthorities: Sendable {
    let root: CertificateAuthority
    let middle: CertificateAuthority
    /// Under `middle`.
    let lower: CertificateAuthority
    let stranger: CertificateAuthority

    init() throws {
        self.root = try CertificateAuthority(named: "root")
        self.middle = try CertificateAuthority(named: "middle", under: self.root)
        self.lower = try CertificateAuthority(named: "lower", under: self.middle)
        self.stranger = try CertificateAuthority(named: "root")
    }

    /// A leaf under an authority that is made for it and stands under the root.
    func under(
        _ extensions: [CertificateAuthority.Extension],
        from: Int = -86_400,
        to: Int = 86_400
    ) throws -> IdentityPresented {
        let own = try CertificateAuthority(
            named: "own",
            under: self.root,
            from: from,
            to: to,
            extensions: extensions
        )
        return IdentityPresented(try own.issue(IdentityRow.everyHost), behind: [try own.source()])
    }
}

extension IdentityRow {
    /// The hosts of all kinds, so that only what is wrong beside them counts.
    static let everyHost =
        "DNS:gw.example.test,IP:127.0.0.1,IP:192.0.2.7,IP:0:0:0:0:0:0:0:1,IP:2001:db8:0:0:0:0:0:7"

    private typealias Verdicts = (name: IdentityVerdict, ipv4: IdentityVerdict, ipv6: IdentityVerdict)

    private static let letIn: Verdicts = (.letIn, .letIn, .letIn)
    private static let wrongHost: Verdicts = (.wrongHost, .wrongHost, .wrongHost)
    private static let untrusted: Verdicts = (.untrusted, .untrusted, .untrusted)
    private static let outdated: Verdicts = (.outdated, .outdated, .outdated)
    private static let name: Verdicts = (.letIn, .wrongHost, .wrongHost)

    private static func named(
        _ row: String,
        _ names: String?,
        commonName: String = "leaf",
        onlyBeyondProxies: Bool = false,
        _ verdicts: Verdicts
    ) -> IdentityRow {
        IdentityRow(row, verdicts, onlyBeyondProxies: onlyBeyondProxies) {
            IdentityPresented(try $0.root.issue(names, commonName: commonName))
        }
    }

    static let all = names + dates + chains

    private static let names: [IdentityRow] = [
        named("the host, of every kind", everyHost, letIn),
        named("the host's name", "DNS:gw.example.test", name),
        named("the host's name in capitals, with a dot behind", "DNS:GW.Example.TEST.", name),
        named("the IPv4 address", "IP:127.0.0.1,IP:192.0.2.7", (.wrongHost, .letIn, .wrongHost)),
        named(
            "the IPv6 address",
            "IP:0:0:0:0:0:0:0:1,IP:2001:db8:0:0:0:0:0:7",
            (.wrongHost, .wrongHost, .letIn)
        ),
        named(
            "the IPv4 address mapped into IPv6",
            "IP:::ffff:127.0.0.1,IP:::ffff:192.0.2.7",
            wrongHost
        ),
        named(
            "the address that the connection goes to, which is the proxy's",
            "IP:127.0.0.1,IP:0:0:0:0:0:0:0:1",
            onlyBeyondProxies: true,
            wrongHost
        ),
        named("another name", "DNS:other.example.test", wrongHost),
        named("a name that begins with the host's", "DNS:gw.example.test.evil.example", wrongHost),
        named("the domain above", "DNS:example.test", wrongHost),
        named("other addresses", "IP:127.0.0.2,IP:192.0.2.8,IP:2001:db8:0:0:0:0:0:8", wrongHost),
        named("a wildcard for the host's label", "DNS:*.example.test", name),
        named("a wildcard too high: two labels", "DNS:*.test", wrongHost),
        named("a wildcard too deep: no label", "DNS:*.gw.example.test", wrongHost),
        named("wildcards for a part of a label", "DNS:g*.example.test,DNS:*w.example.test", wrongHost),
        named("a wildcard in a label that is not the first", "DNS:gw.*.test", wrongHost),
        named("a wildcard for everything", "DNS:*", wrongHost),
        named("wildcards for addresses", "DNS:*.0.0.1,DNS:*.0.2.7", wrongHost),
        named("the name as common name alone", nil, commonName: "gw.example.test", wrongHost),
        named("an address as common name alone", nil, commonName: "192.0.2.7", wrongHost),
        named(
            "the name as common name, beside another name",
            "DNS:other.example.test",
            commonName: "gw.example.test",
            wrongHost
        ),
        named(
            "the addresses as names",
            "DNS:127.0.0.1,DNS:192.0.2.7,DNS:\\:\\:1,DNS:2001\\:db8\\:\\:7",
            wrongHost
        ),
        named(
            "the name in a URI and an e-mail address",
            "URI:wss://gw.example.test/,email:a@gw.example.test",
            wrongHost
        ),
    ]

    private static let dates: [IdentityRow] = [
        IdentityRow("expired", outdated) {
            IdentityPresented(try $0.root.issue(everyHost, from: -86_000, to: -4000))
        },
        IdentityRow("not valid yet", outdated) {
            IdentityPresented(try $0.root.issue(everyHost, from: 4000, to: 86_000))
        },
        IdentityRow("of an authority that has expired", untrusted) {
            try $0.under([.basicConstraints("critical,CA:TRUE")], from: -86_000, to: -4000)
        },
    ]

    private static let chains: [IdentityRow] = [
        IdentityRow("self-signed", untrusted) { _ in
            IdentityPresented(
                try CertificateAuthority(named: "leaf", extensions: [.subjectAltName(everyHost)]).own()
            )
        },
        IdentityRow("self-signed, and trusted by the client", letIn) { _ in
            let issued = try CertificateAuthority(named: "leaf", extensions: [.subjectAltName(everyHost)]).own()
            var presented = IdentityPresented(issued)
            presented.roots = try NIOSSLCertificate.fromPEMBytes(issued.pem)
            return presented
        },
        IdentityRow("self-signed, trusted, with another name", wrongHost) { _ in
            let extensions = [CertificateAuthority.Extension.subjectAltName("DNS:other.example.test")]
            let issued = try CertificateAuthority(named: "gw.example.test", extensions: extensions).own()
            var presented = IdentityPresented(issued)
            presented.roots = try NIOSSLCertificate.fromPEMBytes(issued.pem)
            return presented
        },
        IdentityRow("of an authority that nobody trusts and that has the name of one", untrusted) {
            IdentityPresented(try $0.stranger.issue(everyHost), behind: [try $0.stranger.source()])
        },
        IdentityRow("a whole chain", letIn) {
            IdentityPresented(try $0.lower.issue(everyHost), behind: [try $0.lower.source(), try $0.middle.source()])
        },
        IdentityRow("a chain with the root", letIn) {
            IdentityPresented(try $0.middle.issue(everyHost), behind: [try $0.middle.source(), try $0.root.source()])
        },
        IdentityRow("a chain out of order behind the server's certificate", letIn) {
            let others = [try $0.root.source(), try $0.middle.source(), try $0.lower.source()]
            return IdentityPresented(try $0.lower.issue(everyHost), behind: others)
        },
        IdentityRow("a chain with a stranger in it", letIn) {
            let others = [try $0.stranger.source(), try $0.middle.source()]
            return IdentityPresented(try $0.middle.issue(everyHost), behind: others)
        },
        IdentityRow("a chain out of order, an authority first", wrongHost) {
            let leaf = try $0.middle.issue(everyHost)
            return IdentityPresented(try $0.middle.own(), behind: leaf.chain)
        },
        IdentityRow("a chain missing", untrusted) { IdentityPresented(try $0.middle.issue(everyHost)) },
        IdentityRow("a link of the chain missing", untrusted) {
            IdentityPresented(try $0.lower.issue(everyHost), behind: [try $0.lower.source()])
        },
        IdentityRow("for clients alone", untrusted) {
            IdentityPresented(try $0.root.issue(everyHost, extensions: [.extendedKeyUsage("clientAuth")]))
        },
        IdentityRow("for signing code alone", untrusted) {
            IdentityPresented(try $0.root.issue(everyHost, extensions: [.extendedKeyUsage("critical,codeSigning")]))
        },
        IdentityRow("for servers and clients", letIn) {
            IdentityPresented(try $0.root.issue(everyHost, extensions: [.extendedKeyUsage("clientAuth,serverAuth")]))
        },
        IdentityRow("with an extension that nobody knows and that is critical", untrusted) {
            IdentityPresented(try $0.root.issue(everyHost, extensions: [.comment("critical,x")]))
        },
        IdentityRow("signed with a server's certificate", untrusted) {
            try $0.under([.basicConstraints("critical,CA:FALSE")])
        },
        IdentityRow("of an authority that may not sign certificates", untrusted) {
            try $0.under([.basicConstraints("critical,CA:TRUE"), .keyUsage("critical,digitalSignature")])
        },
        IdentityRow("of an authority under one that may have none", untrusted) {
            let extensions = [CertificateAuthority.Extension.basicConstraints("critical,CA:TRUE,pathlen:0")]
            let last = try CertificateAuthority(named: "last", under: $0.root, extensions: extensions)
            let own = try CertificateAuthority(named: "own", under: last)
            return IdentityPresented(try own.issue(everyHost), behind: [try own.source(), try last.source()])
        },
        IdentityRow("of an authority for another domain", untrusted) {
            try $0.under([
                .basicConstraints("critical,CA:TRUE"), .nameConstraints("critical,permitted;DNS:other.test"),
            ])
        },
    ]
}
