// Where extensions are agreed on. By default a client asks in the opening and, for what is not agreed on yet, inside; and
// a server grants them inside to those who offer x-kaazing-handshake, after it knows who they are. Who completes the
// extended handshake on top of a WebSocket of somebody else, as a page in a browser does, has no say in what that
// WebSocket compresses: its opening asks, and what is agreed on later it cannot do.

import ArgumentParser
import KHPProtocol

/// The one handshake in which extensions are agreed on: `--extensions-at`, `--compress-at`.
enum ExtensionPlace: String, ExpressibleByArgument, CaseIterable {
    case opening
    case extended

    /// The same extension, negotiated there alone.
    func placing(_ item: any WebSocketExtension) -> any WebSocketExtension {
        PlacedExtension(item, layers: item.layers.intersection([self == .opening ? .opening : .extended]))
    }
}

/// An extension that is negotiated in one handshake alone, and otherwise as it is.
struct PlacedExtension: WebSocketExtension {
    private let base: any WebSocketExtension
    let layers: Set<HandshakeLayer>

    init(_ base: any WebSocketExtension, layers: Set<HandshakeLayer>) {
        self.base = base
        self.layers = layers
    }

    var name: String { self.base.name }
    var reservedBits: ReservedBits { self.base.reservedBits }

    func forConnection(_ role: Role) -> any WebSocketExtension {
        PlacedExtension(self.base.forConnection(role), layers: self.layers)
    }

    func offer() -> ExtensionParameters { self.base.offer() }
    func offers() -> [ExtensionParameters] { self.base.offers() }
    func accept(_ offer: ExtensionParameters) -> ExtensionParameters? { self.base.accept(offer) }
    func choose(_ offer: ExtensionParameters) -> ExtensionChoice { self.base.choose(offer) }
    func judge(_ answer: ExtensionParameters) -> Bool { self.base.judge(answer) }

    func makeTransform(role: Role, parameters: ExtensionParameters) -> (any MessageTransform)? {
        self.base.makeTransform(role: role, parameters: parameters)
    }

    func makeFrameTransform(role: Role, parameters: ExtensionParameters) -> (any FrameTransform)? {
        self.base.makeFrameTransform(role: role, parameters: parameters)
    }
}
