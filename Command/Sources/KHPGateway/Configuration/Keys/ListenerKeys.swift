// The table of listeners and their TLS.

extension GatewaySchema {
    static let listener = Section<Configuration.Listener>(
        .init(name: "", listen: .unix(path: "")),
        [
            .value(
                "listen",
                \.listen,
                .listenAddress,
                "Where to bind; port 0 takes a free one.",
                .live,
                missing: "write HOST:PORT, [V6]:PORT or unix:PATH"
            ),
            .value(
                "publicURL",
                \.publicURL,
                ValueType.publicURL.optional,
                "How clients call this listener, for redirects; made from listen and tls where it is not given.",
                .new
            ),
            .groupOrNothing("tls", \.tls, GatewaySchema.listenerTLS, "TLS; without it the listener is plain ws."),
            .list(
                "trust",
                \.trust,
                .trustedProxy,
                "The proxies whose PROXY header and forwarded fields count; unix is whoever connects to listen: unix:PATH.",
                .new
            ),
            .value(
                "proxyProtocol",
                \.requiresProxyHeader,
                .required,
                "A PROXY header, v1 or v2, before TLS; peers outside trust are closed without a byte.",
                .new
            ),
            .value(
                "forwarded",
                \.forwarded,
                .choice,
                "The field that names the client, read from the right up to the first address outside trust.",
                .new
            ),
            .value(
                "trustClientCN",
                \.trustsClientName,
                .flag,
                "Takes the client's common name from the PROXY header, v2, of a proxy that ends TLS, for realms of certificates.",
                .new
            ),
            .value(
                "connections",
                \.connections,
                .count(1...10_000_000),
                "How many connections at once, handshakes included.",
                .live
            ),
        ]
    )

    /// For operators: clients prove themselves by the token there.
    static let tls = Section<Configuration.TLS>(.init(certificate: "", key: ""), Array(GatewaySchema.tlsKeys.prefix(2)))

    static let listenerTLS = Section<Configuration.TLS>(.init(certificate: "", key: ""), GatewaySchema.tlsKeys)

    private static let tlsKeys: [Key<Configuration.TLS>] = [
        .value(
            "certificate",
            \.certificate,
            .file,
            "A PEM chain, the own certificate first; read again by a reload.",
            .new,
            missing: "TLS needs a certificate"
        ),
        .value("key", \.key, .file, "The certificate's PEM key.", .new, missing: "TLS needs the certificate's key"),
        .value("clientAuth", \.clientAuthentication, .choice, "Asks clients for certificates.", .new),
        .value(
            "clientCA",
            \.clientCA,
            ValueType.file.optional,
            "The PEM authorities of clients' certificates.",
            .new
        ),
        .value("minimum", \.minimum, .choice, "The oldest version of TLS.", .new),
    ]
}

extension ValueType where Value == Bool {
    /// Two words, since there is nothing between them: a header that is optional could be forged.
    static var required: ValueType {
        ValueType("off or required", refused: ["on", "optional", "true"]) { text throws(Wrong) in
            switch text {
            case "off": return false
            case "required": return true
            default:
                throw Wrong("is none of off, required" + (text == "optional" ? "; two listeners take both kinds" : ""))
            }
        } write: {
            $0 ? "required" : "off"
        }
    }
}
