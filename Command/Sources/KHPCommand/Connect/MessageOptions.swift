import ArgumentParser

/// The options on messages to send, and on when to stop.
struct MessageOptions: ParsableArguments {
    @Option(
        name: .customLong("message"),
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Send this text instead of standard input; repeatable.", valueName: "text"),
        transform: { OutgoingArgument(.text($0)) }
    )
    var texts: [OutgoingArgument] = []

    @Option(
        name: .customLong("binary"),
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Send the content of this file as a binary message; repeatable.", valueName: "file"),
        transform: { OutgoingArgument(.file($0)) }
    )
    var files: [OutgoingArgument] = []

    @Option(
        help: ArgumentHelp("Close with 1000 after this many messages were received.", valueName: "n"),
        transform: PositiveCount.init(argument:)
    )
    var count: PositiveCount?

    @Flag(help: "After the end of input stay and receive until the peer closes.")
    var listen = false

    /// All of them in the order in which they were given.
    var inOrder: [OutgoingArgument] { (self.texts + self.files).sorted { $0.readAt < $1.readAt } }
}
