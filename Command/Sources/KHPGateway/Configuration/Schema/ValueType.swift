// The types of single values: how each is read from its text and written again.

/// A text that its type does not take, as the rest of a sentence that begins with the text: `is no duration; say 30s`.
struct Wrong: Error {
    var sentence: String

    init(_ sentence: String) {
        self.sentence = sentence
    }
}

struct ValueType<Value: Sendable>: Sendable {
    /// For the reference, and for `it takes …`.
    var name: String
    var read: @Sendable (_ text: String, _ path: (String) -> String) throws(Wrong) -> Value
    /// `nil` is left out where the configuration is printed.
    var write: @Sendable (Value) -> String?
    /// Never shown.
    var isSecret = false
    /// Texts that it refuses; tests try them.
    var refused: [String]

    init(
        _ name: String,
        refused: [String],
        read: @escaping @Sendable (String) throws(Wrong) -> Value,
        write: @escaping @Sendable (Value) -> String?
    ) {
        self.name = name
        self.refused = refused
        self.read = { text, _ throws(Wrong) in try read(text) }
        self.write = write
    }

    /// This type, with `nil` for a value that is not written.
    var optional: ValueType<Value?> {
        let read = self.read
        let write = self.write
        var type = ValueType<Value?>(self.name, refused: self.refused) { _ throws(Wrong) in
            nil
        } write: {
            $0.flatMap(write)
        }
        type.read = { text, path throws(Wrong) in try read(text, path) }
        type.isSecret = self.isSecret
        return type
    }

    /// This type, with `nil` for `off`.
    var orOff: ValueType<Value?> {
        let read = self.read
        let write = self.write
        var type = ValueType<Value?>("off or \(self.name)", refused: self.refused) { _ throws(Wrong) in
            nil
        } write: { value in
            guard let value else { return "off" }
            return write(value)
        }
        type.read = { text, path throws(Wrong) in text == "off" ? nil : try read(text, path) }
        return type
    }
}
