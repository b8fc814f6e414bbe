// `${NAME}`, `${NAME:-default}` and `${file:PATH}` inside a value. They are put in after the YAML is read: no variable can
// add a key or end a quote.

/// A text of the file after its `${…}` are replaced.
struct SubstitutedText {
    var text: String
    /// As in the file: what errors show, since variables and files may hold secrets.
    var written: String

    /// A cause for which a text cannot be used, as the rest of a sentence.
    struct Failure: Error {
        var sentence: String
    }

    /// - Parameters:
    ///   - file: the first line of a file, or a sentence about it.
    init(
        _ written: String,
        environment: [String: String],
        file: (String) throws(Failure) -> String
    ) throws(Failure) {
        self.written = written
        var text = ""
        var rest = written[...]
        while let start = rest.firstRange(of: "${") {
            text += rest[..<start.lowerBound]
            // `$${` is `${` itself.
            if text.hasSuffix("$") {
                text += "{"
                rest = rest[start.upperBound...]
                continue
            }
            guard let end = rest[start.upperBound...].firstIndex(of: "}") else {
                throw Failure(sentence: "`${` has no `}`; write `$${` for the characters themselves")
            }
            text += try Self.value(rest[start.upperBound..<end], environment, file)
            rest = rest[rest.index(after: end)...]
        }
        self.text = text + rest
    }

    private static func value(
        _ name: Substring,
        _ environment: [String: String],
        _ file: (String) throws(Failure) -> String
    ) throws(Failure) -> String {
        if name.hasPrefix("file:") { return try file(String(name.dropFirst(5))) }
        let separator = name.firstRange(of: ":-")
        let variable = String(separator.map { name[..<$0.lowerBound] } ?? name)
        guard let first = variable.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first),
            variable.utf8.allSatisfy(Self.isNameByte)
        else {
            throw Failure(
                sentence: "`${\(variable)}` names no variable; write ${NAME}, ${NAME:-default} or ${file:PATH}"
            )
        }
        // As in shells: an empty variable takes the default, too.
        if let value = environment[variable], !value.isEmpty || separator == nil { return value }
        guard let separator else {
            throw Failure(sentence: "the variable \(variable) is not set; ${\(variable):-default} does without it")
        }
        return String(name[separator.upperBound...])
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
