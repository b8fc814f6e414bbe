// The table's rows and what is made of them. A key says once what it is: from that come its reading, its printing and its
// line in the reference.

/// The time at which a reload puts a changed value in force.
enum ReloadClass: String, Sendable, CaseIterable {
    /// At once, for open sessions as well.
    case live
    /// For sessions that begin afterwards.
    case new = "new sessions"
    /// Not before the gateway starts again.
    case restart
}

/// A line of the reference.
struct SchemaRow: Sendable, Equatable {
    /// With `NAME` for a name that the writer chooses.
    var path: String
    var type: String
    /// Empty for none.
    var usual: String
    var meaning: String
    var reload: ReloadClass?
    var isRequired: Bool
    /// True for a group of keys.
    var isGroup: Bool
    var isSecret: Bool
    /// Texts that its type refuses.
    var refused: [String]
}

/// A value as it is printed.
indirect enum Written: Sendable, Equatable {
    case text(String)
    case list([String])
    case group([(key: String, value: Written)])

    static func == (one: Written, other: Written) -> Bool {
        switch (one, other) {
        case (.text(let one), .text(let other)): one == other
        case (.list(let one), .list(let other)): one == other
        case (.group(let one), .group(let other)):
            one.map(\.key) == other.map(\.key) && one.map(\.value) == other.map(\.value)
        default: false
        }
    }
}

/// The place of a value in a configuration.
typealias Place<Owner, Value> = any WritableKeyPath<Owner, Value> & Sendable

/// A key of a group, whose value goes to a place in `Owner`.
struct Key<Owner: Sendable>: Sendable {
    var name: String
    /// The sentence for a group without it; `nil` where it may be missing.
    var missing: String?
    var read: @Sendable (ConfigurationNode, _ key: String, inout Owner, inout Reading) -> Void
    /// `nil` where there is nothing to print.
    var write: @Sendable (Owner) -> Written?
    var rows: @Sendable (_ prefix: String, _ usual: Owner?) -> [SchemaRow]
}

/// A group of keys.
struct Section<Owner: Sendable>: Sendable {
    var keys: [Key<Owner>]
    /// An owner in which nothing is set, for the defaults in the reference.
    var blank: Owner

    init(_ blank: Owner, _ keys: [Key<Owner>]) {
        self.blank = blank
        self.keys = keys
    }

    /// Reads the keys in the order of the table.
    func read(_ node: ConfigurationNode, _ path: String, into owner: inout Owner, _ reading: inout Reading) {
        let entries: [ConfigurationNode.Entry]
        switch node.content {
        case .map(let map): entries = map
        case .nothing: entries = []
        case .text, .list:
            reading.error(path, at: node.position, "here stands \(node.kind); it takes a group of keys")
            return
        }
        for entry in entries {
            reading.note(Self.join(path, entry.key), entry.value.position)
            if self.keys.contains(where: { $0.name == entry.key }) { continue }
            let hint =
                entry.key == "<<"
                ? "; merging is not in this format, defaults does it"
                : NearestName.question(entry.key, among: self.keys.map(\.name))
            reading.error(Self.join(path, entry.key.shownKey), at: entry.position, "unknown\(hint)")
            if let meant = NearestName.nearest(entry.key, among: self.keys.map(\.name)) {
                reading.doubt(Self.join(path, meant))
            }
        }
        for key in self.keys {
            let path = Self.join(path, key.name)
            if let entry = entries.first(where: { $0.key == key.name }) {
                if case .nothing = entry.value.content {
                    reading.error(path, at: entry.position, "has no value")
                } else {
                    key.read(entry.value, path, &owner, &reading)
                }
            } else if let missing = key.missing, !reading.isDoubtful(path) {
                reading.error(path, at: node.position, "is missing; \(missing)")
            }
        }
    }

    func write(_ owner: Owner) -> Written {
        .group(self.keys.compactMap { key in key.write(owner).map { (key: key.name, value: $0) } })
    }

    func rows(_ prefix: String, _ usual: Owner?) -> [SchemaRow] {
        self.keys.flatMap { $0.rows(prefix, usual) }
    }

    static func join(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
}

extension String {
    /// A key that somebody wrote, as it stands where it is a plain word.
    fileprivate var shownKey: String {
        self.utf8.count <= 60 && self.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } ? self : self.shown
    }
}
