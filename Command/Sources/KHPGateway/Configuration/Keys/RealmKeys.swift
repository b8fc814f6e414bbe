// The table of realms.

extension GatewaySchema {
    static let realm = Section<Configuration.Realm>(
        .init(name: ""),
        [
            .list("schemes", \.schemes, .scheme, "The schemes that clients are challenged with, in this order.", .new),
            .value(
                "users",
                \.users,
                ValueType.file.optional,
                "A file of users, as `khp hash` makes its lines: passwords' hashes, digest keys and tokens.",
                .live
            ),
            .value("groups", \.groups, ValueType.file.optional, "A file of lines `role: name name …`.", .live),
            .value(
                "nonceKeys",
                \.nonceKeys,
                ValueType.file.optional,
                "The keys of digest nonces, one a line in base64; the first seals, all count. Shared by gateways.",
                .live
            ),
            .value(
                "nonceLifetime",
                \.nonceLifetime,
                .duration(.seconds(1)...(.seconds(3600))),
                "How long a nonce can be used.",
                .new
            ),
            .group(
                "wrongAnswers",
                \.wrongAnswers,
                GatewaySchema.wrongAnswers,
                "The bound on guesses at a listener, of its realms the strictest; an address beyond it gets 403."
            ),
            .value(
                "hashQueue",
                \.hashQueue,
                .count(1...100_000),
                "How many proofs may wait to be looked at, at a listener, of its realms the fewest; beyond it 503.",
                .live
            ),
            .list("token", \.token, .tokenPlace, "The places of a token, in this order.", .new),
            .groupOrNothing("jwt", \.jwt, GatewaySchema.jwt, "Tokens that are JSON Web Tokens."),
            .groupOrNothing(
                "certificate",
                \.certificate,
                GatewaySchema.certificate,
                "Certificates of clients, by the TLS of the listener."
            ),
        ]
    )

    private static let wrongAnswers = Section<Configuration.WrongAnswers>(
        .init(),
        [
            .value("perAddress", \.perAddress, .count(1...1_000_000), "How many from one address.", .live),
            .value("window", \.window, .duration(.seconds(1)...(.seconds(86_400))), "In so long a time.", .live),
        ]
    )

    private static let jwt = Section<Configuration.JWT>(
        .init(keys: "", algorithms: [], issuer: "", audience: []),
        [
            .value(
                "keys",
                \.keys,
                .file,
                "A JSON Web Key Set: RSA of 2048 bits or more, EC, Ed25519; secrets only for HS.",
                .live,
                missing: "name the file of a JSON Web Key Set"
            ),
            .list(
                "algorithms",
                \.algorithms,
                .choice,
                "The only algorithms that count.",
                .live,
                missing: "write the algorithms of the issuer, such as [ES256, RS256]"
            ),
            .value(
                "issuer",
                \.issuer,
                .text(),
                "The claim iss, letter by letter.",
                .live,
                missing: "write the claim iss of its tokens"
            ),
            .list(
                "audience",
                \.audience,
                .text(),
                "One of them is in the claim aud.",
                .live,
                missing: "write the claim aud of tokens for this gateway"
            ),
            .value("principal", \.principal, .text("claim", upTo: 256), "The claim that names the principal.", .live),
            .value(
                "roles",
                \.roles,
                ValueType.text("claim or path.into.it", upTo: 256).optional,
                "The claim that lists the roles.",
                .live
            ),
            .value(
                "leeway",
                \.leeway,
                .duration(.zero...(.seconds(300))),
                "The difference of clocks that is allowed.",
                .live
            ),
            .value(
                "onExpiry",
                \.onExpiry,
                .choice,
                "The end of a token whose socket is open: closes with 1008, asks for another token beforehand, or does nothing.",
                .new
            ),
        ]
    )

    private static let certificate = Section<Configuration.Certificate>(
        .init(principal: .commonName),
        [
            .value(
                "principal",
                \.principal,
                .choice,
                "The name that counts.",
                .new,
                missing: "write cn, san-uri, san-dns or san-email"
            ),
            .value("strip", \.strip, ValueType.text().optional, "Cut off the beginning of the name.", .new),
            .value("roles", \.roles, ValueType.file.optional, "A file of lines `role: name name …`.", .live),
        ]
    )
}
