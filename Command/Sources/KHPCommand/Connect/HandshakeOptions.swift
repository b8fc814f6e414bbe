public import ArgumentParser
import HTTPTypes
public import KHPClient
import NIOCore

extension ExtendedHandshakePolicy: @retroactive ExpressibleByArgument {}

/// The options of both handshakes.
struct HandshakeOptions: ParsableArguments {
    @Option(
        name: .customLong("require-extension"),
        help: ArgumentHelp(
            "Fail, and close with 1010, unless this extension is agreed on; repeatable.",
            valueName: "name"
        )
    )
    var requiredExtensions: [String] = []

    @Option(help: "The extended handshake: preferred, required or off.")
    var extended: ExtendedHandshakePolicy = .preferred

    @Flag(help: "Ask a Kaazing gateway with .kl=Y and speak as Kaazing's own clients do: balancer messages and all.")
    var kaazingLegacy = false

    @Option(help: ArgumentHelp("The method of the extended request.", valueName: "method"))
    var extendedMethod = "GET"

    @Option(
        help: ArgumentHelp(
            "The entity of the extended request, held back until the server answers 100.",
            valueName: "file"
        )
    )
    var extendedBody: String?

    @Option(
        name: [.customShort("H"), .customLong("header")],
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("A further field of the opening request; repeatable.", valueName: "'name: value'")
    )
    var headers: [FieldArgument] = []

    @Option(
        name: .customLong("extended-header"),
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("A further field of the extended request; repeatable.", valueName: "'name: value'")
    )
    var extendedHeaders: [FieldArgument] = []

    @Option(help: ArgumentHelp("The Origin field.", valueName: "url"))
    var origin: String?

    func apply(
        to configuration: inout WebSocketClient.Configuration,
        _ negotiation: NegotiationOptions,
        console: Console
    ) throws {
        guard negotiation.extensionsAt != .extended || self.extended != .off else {
            throw CommandFailure.usage("--extensions-at extended asks nowhere where --extended is off")
        }
        configuration.extensions = try negotiation.make(.client, console: console)
        for name in self.requiredExtensions where !configuration.extensions.contains(where: { $0.name == name }) {
            throw CommandFailure.usage(
                "--require-extension \(TerminalText.escaped(name)) needs an --extension of that name, or --compress"
            )
        }
        configuration.requiredExtensions = Set(self.requiredExtensions)
        configuration.extended.policy = self.extended
        guard !self.kaazingLegacy || self.extended != .off else {
            throw CommandFailure.usage(
                "--kaazing-legacy is a form of the extended handshake; --extended off leaves none"
            )
        }
        if self.extended == .off, let option = self.optionOfExtended {
            throw CommandFailure.usage("\(option) is for the extended handshake; --extended off leaves none")
        }
        configuration.extended.kaazingLegacy = self.kaazingLegacy
        configuration.extended.method = self.extendedMethod
        configuration.extended.body = try self.extendedBody.map {
            ByteBuffer(
                bytes: try FileArgument.bytes($0, option: "--extended-body", most: FileArgument.contentBytes)
            )
        }
        configuration.headers = try Self.fields(self.headers, of: "-H")
        configuration.extended.headers = try Self.fields(self.extendedHeaders, of: "--extended-header")
        if let origin, origin != "null", (try? OriginPolicy.allowing([origin])) == nil {
            throw CommandFailure.usage("--origin needs an origin such as https://example.com")
        }
        configuration.origin = self.origin
    }

    /// The first option that was given and says something of the extended request; `nil` for none.
    private var optionOfExtended: String? {
        if self.extendedBody != nil { return "--extended-body" }
        if !self.extendedHeaders.isEmpty { return "--extended-header" }
        return self.extendedMethod == "GET" ? nil : "--extended-method"
    }

    private static func fields(_ arguments: [FieldArgument], of option: String) throws -> HTTPFields {
        var fields = HTTPFields()
        for argument in arguments {
            guard !argument.name.isEmpty else {
                throw CommandFailure.usage("\(option) takes a field as 'Name: value'")
            }
            guard let name = HTTPField.Name(argument.name) else {
                throw CommandFailure.usage("`\(TerminalText.escaped(argument.name))` is no field name")
            }
            guard HTTPField.isValidValue(argument.value) else {
                throw CommandFailure.usage("the value of the field \(name) holds a control character")
            }
            fields.append(HTTPField(name: name, value: argument.value))
        }
        return fields
    }
}
