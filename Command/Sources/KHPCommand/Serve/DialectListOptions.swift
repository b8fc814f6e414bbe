import ArgumentParser
import KHPServer

/// Which wire dialects are served.
struct DialectListOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Wire dialects, separated by commas: of rfc6455, hixie-75, hixie-76 and whatwg-2010. The last two open alike: "
                + "of them the one listed first is served.",
            valueName: "list"
        ),
        transform: Self.list
    )
    var dialects: [Dialect] = [.rfc6455]

    @Flag(
        name: .customLong("answer-before-keys"),
        help: "Answer hixie-76 before its eight bytes have come, as nginx in front needs it."
    )
    var answersBeforeKeys = false

    private static func list(_ text: String) throws -> [Dialect] {
        try text.split(separator: ",", omittingEmptySubsequences: false).map { name in
            let name = name.trimmingSpaces()
            guard let dialect = Dialect(name: String(name)) else {
                let known = Dialect.all.map(\.name).joined(separator: ", ")
                throw ValidationError("`\(TerminalText.escaped(String(name)))` is no dialect; there are \(known)")
            }
            return dialect
        }
    }

    func apply(to endpoints: [Endpoint]) -> [Endpoint] {
        endpoints.map { endpoint in
            var endpoint = endpoint
            endpoint.options.dialects = self.dialects
            endpoint.options.answersBeforeKeys = self.answersBeforeKeys
            return endpoint
        }
    }
}
