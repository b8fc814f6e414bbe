// The listeners of a gateway: those in force, and those that a reload has closed while clients are still connected by them. The
// counts of one name go on over all of them.

import KHPServer

struct ListenerLine: Sendable {
    /// How many connections have come in by listeners of a name.
    struct Counts: Sendable, Equatable {
        var connections = 0
        var accepted = 0
        var refused = 0
        var withoutProxyHeader = 0
        var untrusted = 0
        var draining = 0

        static func += (all: inout Counts, one: WebSocketListener.Counts) {
            all.connections += one.connections
            all.accepted += one.accepted
            all.refused += one.refused
            all.withoutProxyHeader += one.withoutProxyHeader
            all.untrusted += one.untrusted
            all.draining += one.draining
        }
    }

    private(set) var inForce: [RunningListener] = []
    private(set) var retired: [RunningListener] = []
    /// The counts of listeners without connections, which have left the configuration, by name.
    private var former: [String: Counts] = [:]

    var all: [RunningListener] { self.inForce + self.retired }

    mutating func use(_ listeners: [RunningListener]) {
        self.retired += self.inForce.filter { old in !listeners.contains { $0 === old } }
        self.inForce = listeners
        var inUse: [RunningListener] = []
        for listener in self.retired {
            // One that is yet to be closed may take clients.
            if listener.isInUse || !listener.hasClosed {
                inUse.append(listener)
            } else {
                self.former[listener.rules.name, default: Counts()] += listener.counts
            }
        }
        self.retired = inUse
    }

    /// By the names of those in force.
    var counts: [(name: String, counts: Counts)] {
        self.inForce.map { listener in
            let name = listener.rules.name
            var counts = self.former[name] ?? Counts()
            for one in self.all where one.rules.name == name { counts += one.counts }
            return (name, counts)
        }
    }
}
