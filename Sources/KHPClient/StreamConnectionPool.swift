// The connections of a client that carry several WebSockets, each on a stream of its own. They belong to one client, so that
// all that its configuration says holds for everyone on them: TLS, its pins, the place that is dialled.

import KHPProtocol
import KHPWebSocket
import NIOCore
import Synchronization

/// The destination for which a connection may be shared (threat F17): the same host and port, by the same way, with the same
/// certificate of the client's. No other name is ever asked for on a connection, whatever names the server's certificate has.
struct SharedPlace: Hashable, Sendable {
    let authority: String
    /// The proxy, with the credentials for it.
    let proxy: Proxy?
    /// False where a redirect has led away from the origin that the client's certificate is for.
    let presentsCertificate: Bool

    /// The queue of connects that want to dial the same place.
    var turn: ConnectPlace {
        let way = self.proxy.map { "\($0.kind) \($0.authority) \($0.user ?? "")" } ?? "direct"
        return ConnectPlace(name: "shared \(self.authority) \(way) \(self.presentsCertificate)", capacity: 1)
    }
}

final class StreamConnectionPool: Sendable {
    private struct Entry {
        let connection: any StreamConnection
        /// The address of the server, or of the proxy.
        let address: SocketAddress?
    }

    private let entries = Mutex<[SharedPlace: [Entry]]>([:])

    /// The client is gone, and opens no more streams.
    deinit {
        for entry in self.entries.withLock({ $0.values.flatMap(\.self) }) { entry.connection.retire() }
    }

    /// Keeps a connection until it ends. On its event loop.
    func add(_ connection: any StreamConnection, at place: SharedPlace) {
        let entry = Entry(connection: connection, address: connection.channel.remoteAddress)
        self.entries.withLock { $0[place, default: []].append(entry) }
        connection.channel.closeFuture.whenComplete { [weak self, weak connection] _ in
            guard let self else { return }
            self.entries.withLock { entries in
                entries[place]?.removeAll { $0.connection === connection }
                if entries[place]?.isEmpty == true { entries[place] = nil }
            }
        }
    }

    /// Opens no more streams on a connection, if it is one of these; the streams that it has stay.
    func retire(_ channel: any Channel) {
        let connection: (any StreamConnection)? = self.entries.withLock { entries in
            for (place, kept) in entries {
                guard let index = kept.firstIndex(where: { $0.connection.channel === channel }) else { continue }
                entries[place]?.remove(at: index)
                if entries[place]?.isEmpty == true { entries[place] = nil }
                return kept[index].connection
            }
            return nil
        }
        connection?.retire()
    }

    /// The connections to one of these addresses, the oldest first: so the younger ones become idle, and end.
    func connections(at place: SharedPlace, to addresses: [SocketAddress]) -> [any StreamConnection] {
        self.entries.withLock { entries in
            (entries[place] ?? []).filter { entry in
                // A Unix domain socket does not say where it leads to.
                entry.address.map { $0.ipAddress == nil || addresses.contains($0) } ?? true
            }.map(\.connection)
        }
    }
}

extension StreamConnectionPool: CustomReflectable {
    /// Empty: the values behind the lock change while a client is printed.
    var customMirror: Mirror { Mirror(self, children: []) }
}
