// Where a server agrees on compression with those who offer x-kaazing-handshake. By default inside, after it knows who
// they are. Who completes the extended handshake on top of a WebSocket of somebody else, as a page in a browser does, has
// no say in what that WebSocket compresses: its opening asks, and what is agreed on later it cannot do.

import ArgumentParser
import KHPProtocol

/// The handshake in which compression is agreed on.
enum CompressionPlace: String, ExpressibleByArgument, CaseIterable {
    case extended
    case opening

    /// The same extension, where it is to be negotiated.
    func placed(_ item: any WebSocketExtension) -> any WebSocketExtension {
        guard self == .opening, var deflate = item as? PerMessageDeflate else { return item }
        deflate.layers = [.opening]
        return deflate
    }
}
