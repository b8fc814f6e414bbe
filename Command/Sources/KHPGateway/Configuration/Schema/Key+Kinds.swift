// The kinds of keys: a value, a list, a group, named entries.

extension Key {
    /// A single value.
    static func value<Value: Sendable>(
        _ name: String,
        _ place: Place<Owner, Value>,
        _ type: ValueType<Value>,
        _ meaning: String,
        _ reload: ReloadClass?,
        missing: String? = nil
    ) -> Key {
        Key(name: name, missing: missing) { node, key, owner, reading in
            guard let value = Self.single(node, key, type, &reading) else { return }
            owner[keyPath: place] = value
        } write: { owner in
            type.write(owner[keyPath: place]).map { .text($0) }
        } rows: { prefix, usual in
            let usual = missing == nil ? usual.flatMap { type.write($0[keyPath: place]) } : nil
            return [Self.row(prefix, name, type, usual, meaning, reload, missing)]
        }
    }

    /// A list, or one value alone.
    static func list<Value: Sendable>(
        _ name: String,
        _ place: Place<Owner, [Value]>,
        _ type: ValueType<Value>,
        _ meaning: String,
        _ reload: ReloadClass?,
        missing: String? = nil
    ) -> Key {
        Key(name: name, missing: missing) { node, key, owner, reading in
            guard let values = Self.several(node, key, type, &reading) else { return }
            if values.isEmpty, let missing, !reading.isDoubtful(key) {
                reading.error(key, at: node.position, "is empty; \(missing)")
            }
            owner[keyPath: place] = values
        } write: { owner in
            let values = owner[keyPath: place]
            return values.isEmpty ? nil : .list(values.compactMap(type.write))
        } rows: { prefix, usual in
            let values = usual.map { $0[keyPath: place].compactMap(type.write) } ?? []
            let shown = values.isEmpty ? nil : "[\(values.joined(separator: ", "))]"
            var row = Self.row(prefix, name, type, missing == nil ? shown : nil, meaning, reload, missing)
            row.type = "list of \(type.name)"
            return [row]
        }
    }

    /// A list that differs from an empty one where it is not written.
    static func listOrNothing<Value: Sendable>(
        _ name: String,
        _ place: Place<Owner, [Value]?>,
        _ type: ValueType<Value>,
        usual: String,
        _ meaning: String,
        _ reload: ReloadClass?
    ) -> Key {
        Key(name: name, missing: nil) { node, key, owner, reading in
            if let values = Self.several(node, key, type, &reading) { owner[keyPath: place] = values }
        } write: { owner in
            owner[keyPath: place].map { .list($0.compactMap(type.write)) }
        } rows: { prefix, _ in
            var row = Self.row(prefix, name, type, usual, meaning, reload, nil)
            row.type = "list of \(type.name)"
            return [row]
        }
    }

    /// A group that is always there.
    /// - Parameter applies: `false` where it means nothing, and is not printed.
    static func group<Part: Sendable>(
        _ name: String,
        _ place: Place<Owner, Part>,
        _ section: Section<Part>,
        _ meaning: String,
        where applies: @escaping @Sendable (Owner) -> Bool = { _ in true }
    ) -> Key {
        Key(name: name, missing: nil) { node, key, owner, reading in
            section.read(node, key, into: &owner[keyPath: place], &reading)
        } write: { owner in
            applies(owner) ? Self.filled(section.write(owner[keyPath: place])) : nil
        } rows: { prefix, usual in
            [Self.groupRow(prefix, name, "group", meaning)]
                + section.rows(Section<Part>.join(prefix, name), usual?[keyPath: place])
        }
    }

    /// A group that may be missing, or `off`.
    static func groupOrNothing<Part: Sendable>(
        _ name: String,
        _ place: Place<Owner, Part?>,
        _ section: Section<Part>,
        off: Bool = false,
        _ meaning: String
    ) -> Key {
        Key(name: name, missing: nil) { node, key, owner, reading in
            if off, case .text(let word) = node.content {
                owner[keyPath: place] = nil
                if word != "off" {
                    reading.error(key, at: node.position, "\(word.shown) is not off; it takes off or a group of keys")
                }
                return
            }
            var part = owner[keyPath: place] ?? section.blank
            section.read(node, key, into: &part, &reading)
            owner[keyPath: place] = part
        } write: { owner in
            guard let part = owner[keyPath: place] else { return off ? .text("off") : nil }
            return section.write(part)
        } rows: { prefix, usual in
            [Self.groupRow(prefix, name, off ? "off or group" : "group", meaning)]
                + section.rows(Section<Part>.join(prefix, name), section.blank)
        }
    }

    /// Entries under names that the writer chooses.
    /// - Parameter make: an entry of that name, before its keys are read.
    static func named<Part: Sendable>(
        _ name: String,
        _ place: Place<Owner, [Part]>,
        of section: Section<Part>,
        called partName: any KeyPath<Part, String> & Sendable,
        nameType: ValueType<String> = .entryName,
        _ meaning: String,
        missing: String? = nil,
        make: @escaping @Sendable (_ name: String, Owner) -> Part
    ) -> Key {
        Key(name: name, missing: missing) { node, key, owner, reading in
            guard case .map(let entries) = node.content else {
                reading.error(key, at: node.position, "here stands \(node.kind); it takes a name and its keys")
                return
            }
            if entries.isEmpty, let missing { reading.error(key, at: node.position, "is empty; \(missing)") }
            for entry in entries {
                let path = Section<Part>.join(key, entry.key)
                reading.note(path, entry.position)
                do throws(Wrong) {
                    _ = try nameType.read(entry.key) { $0 }
                } catch {
                    reading.error(key, at: entry.position, "\(entry.key.shown) \(error.sentence)")
                    continue
                }
                var part = make(entry.key, owner)
                section.read(entry.value, path, into: &part, &reading)
                owner[keyPath: place].append(part)
            }
        } write: { owner in
            let parts = owner[keyPath: place]
            guard !parts.isEmpty else { return nil }
            return .group(parts.map { (key: $0[keyPath: partName], value: section.write($0)) })
        } rows: { prefix, _ in
            [Self.groupRow(prefix, name, "names", meaning)]
                + section.rows(Section<Part>.join(prefix, name) + ".NAME", section.blank)
        }
    }

    /// A key that the format names already and this version does not know: `off` is taken, since it asks for nothing.
    static func notYet(_ name: String, _ meaning: String) -> Key {
        Key(name: name, missing: nil) { node, key, _, reading in
            if case .text("off") = node.content { return }
            reading.error(key, at: node.position, "is not in this version; take it out, or say off")
        } write: { _ in
            .text("off")
        } rows: { prefix, _ in
            var row = Self.groupRow(prefix, name, "off", "\(meaning) Not in this version.")
            row.isGroup = false
            row.usual = "off"
            row.refused = ["30s", "on"]
            return [row]
        }
    }

    /// A key of a part as a key of the whole.
    func within<Whole: Sendable>(_ place: Place<Whole, Owner>) -> Key<Whole> {
        let read = self.read
        let write = self.write
        let rows = self.rows
        return Key<Whole>(name: self.name, missing: self.missing) { node, key, whole, reading in
            read(node, key, &whole[keyPath: place], &reading)
        } write: {
            write($0[keyPath: place])
        } rows: { prefix, usual in
            rows(prefix, usual?[keyPath: place])
        }
    }

    // MARK: Parts

    private static func single<Value: Sendable>(
        _ node: ConfigurationNode,
        _ key: String,
        _ type: ValueType<Value>,
        _ reading: inout Reading
    ) -> Value? {
        guard let text = reading.text(node, key, expected: type.name) else { return nil }
        // The folder alone: a copy of the reading would have all findings copied for the next one.
        let folder = reading.folder
        do throws(Wrong) {
            return try type.read(text.text) { Reading.path($0, in: folder) }
        } catch {
            let subject = type.isSecret ? "the value" : text.written.shown
            reading.error(key, at: node.position, "\(subject) \(error.sentence)")
            return nil
        }
    }

    private static func several<Value: Sendable>(
        _ node: ConfigurationNode,
        _ key: String,
        _ type: ValueType<Value>,
        _ reading: inout Reading
    ) -> [Value]? {
        guard case .list(let nodes) = node.content else {
            return Self.single(node, key, type, &reading).map { [$0] }
        }
        var values: [Value] = []
        for node in nodes {
            if let value = Self.single(node, key, type, &reading) { values.append(value) }
        }
        return values
    }

    private static func row<Value: Sendable>(
        _ prefix: String,
        _ name: String,
        _ type: ValueType<Value>,
        _ usual: String?,
        _ meaning: String,
        _ reload: ReloadClass?,
        _ missing: String?
    ) -> SchemaRow {
        SchemaRow(
            path: Section<Owner>.join(prefix, name),
            type: type.name,
            usual: usual ?? "",
            meaning: meaning,
            reload: reload,
            isRequired: missing != nil,
            isGroup: false,
            isSecret: type.isSecret,
            refused: type.refused
        )
    }

    private static func groupRow(_ prefix: String, _ name: String, _ type: String, _ meaning: String) -> SchemaRow {
        SchemaRow(
            path: Section<Owner>.join(prefix, name),
            type: type,
            usual: "",
            meaning: meaning,
            reload: nil,
            isRequired: false,
            isGroup: true,
            isSecret: false,
            refused: []
        )
    }

    private static func filled(_ written: Written) -> Written? {
        if case .group(let entries) = written, entries.isEmpty { return nil }
        return written
    }
}

extension ValueType where Value == String {
    /// The name of a listener, realm, pool or service.
    static var entryName: ValueType {
        ValueType("name", refused: ["", "a.b", "a b"]) { text throws(Wrong) in
            guard !text.isEmpty, text.utf8.count <= 64, text.utf8.allSatisfy(\.isEntryNameByte) else {
                throw Wrong("is no name: up to 64 letters, digits, - and _")
            }
            return text
        } write: {
            $0
        }
    }
}
