// Options for all that both ends agree on: subprotocols and extensions. The same for a client and for a server.

import ArgumentParser
import KHPProtocol

struct NegotiationOptions: ParsableArguments {
    @Option(
        name: .customLong("subprotocol"),
        help: ArgumentHelp("An application subprotocol, most preferred first; repeatable.", valueName: "name")
    )
    var subprotocols: [String] = []

    @Option(
        name: .customLong("extension"),
        help: ArgumentHelp(
            "An extension, such as 'x-name; level=1', most preferred first; repeatable. One that khp does not know is "
                + "agreed on and reported, never applied. Known are permessage-deflate, x-kaazing-ping-pong, "
                + "x-kaazing-idle-timeout (a server's with timeout=MILLISECONDS) and, for a client, "
                + "x-kaazing-http-revalidate.",
            valueName: "extension"
        ),
        transform: ExtensionArgument.init(argument:)
    )
    var typed: [ExtensionArgument] = []

    @Flag(
        help: """
            Compress messages with permessage-deflate, for up to 71 KiB of a server's memory a connection. Where \
            --extension names it, its parameters count.
            """
    )
    var compress = false

    @Option(
        help: ArgumentHelp(
            "Agree on extensions in this handshake alone. None: a client asks in the opening and, for what is not agreed "
                + "on, inside; a server grants inside to those who offer x-kaazing-handshake, in the opening to others.",
            valueName: "opening|extended"
        )
    )
    var extensionsAt: ExtensionPlace?

    /// The extensions of `--extension` in their order, and that of `--compress`, unless its parameters are named.
    var extensions: [ExtensionArgument] {
        guard self.compress, !self.typed.contains(where: { $0.offer.name == "permessage-deflate" }) else {
            return self.typed
        }
        return self.typed + [.compression]
    }

    /// The extensions for one end, each in its place.
    /// - Parameter compressionPlace: the place of permessage-deflate, where it has one of its own.
    func make(
        _ role: Role,
        compressionPlace: ExtensionPlace? = nil,
        console: Console
    ) throws(CommandFailure) -> [any WebSocketExtension] {
        try self.extensions.map { argument throws(CommandFailure) in
            let item = try argument.make(role, console: console)
            let isCompression = argument.offer.name == "permessage-deflate"
            let place = isCompression ? compressionPlace ?? self.extensionsAt : self.extensionsAt
            return place?.placing(item) ?? item
        }
    }
}

/// Options for bounds that both ends keep.
struct LimitOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Largest message to take: a number of bytes, or one with KiB, MiB or GiB. (default: 1MiB)",
            valueName: "bytes"
        ),
        transform: ByteCount.init(argument:)
    )
    var maxMessageSize = ByteCount.oneMebibyte
}
