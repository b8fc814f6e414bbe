// The difference that a reload makes, by the names of the file: what is not named here is not touched.

package struct ReloadChanges: Sendable, Equatable {
    package struct Names: Sendable, Equatable {
        package var added: [String] = []
        package var changed: [String] = []
        package var removed: [String] = []
        package var unchanged: [String] = []

        init<Value: Equatable>(_ old: [Value], _ new: [Value], name: (Value) -> String) {
            let before = Dictionary(old.map { (name($0), $0) }) { first, _ in first }
            for value in new {
                if let known = before[name(value)] {
                    if known == value { self.unchanged.append(name(value)) } else { self.changed.append(name(value)) }
                } else {
                    self.added.append(name(value))
                }
            }
            let after = Set(new.map(name))
            self.removed = old.map(name).filter { !after.contains($0) }
        }

        var isEmpty: Bool { self.added.isEmpty && self.changed.isEmpty && self.removed.isEmpty }

        var json: JSONTree {
            func list(_ names: [String]) -> JSONTree { .array(names.map { .string($0) }) }
            return .object([
                ("added", list(self.added)), ("changed", list(self.changed)), ("removed", list(self.removed)),
                ("unchanged", list(self.unchanged)),
            ])
        }
    }

    package var services: Names
    package var pools: Names
    package var listeners: Names

    init(_ old: GatewayConfiguration, _ new: GatewayConfiguration) {
        self.services = Names(old.services, new.services, name: \.name)
        self.pools = Names(old.pools, new.pools, name: \.name)
        self.listeners = Names(old.listeners, new.listeners, name: \.name)
    }

    package var isEmpty: Bool { self.services.isEmpty && self.pools.isEmpty && self.listeners.isEmpty }

    var json: JSONTree {
        .object([
            ("services", self.services.json), ("pools", self.pools.json), ("listeners", self.listeners.json),
        ])
    }
}
