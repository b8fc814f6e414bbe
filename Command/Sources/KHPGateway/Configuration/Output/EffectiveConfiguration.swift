// The configuration in force as YAML: defaults filled in, secrets as bullets.

extension GatewayConfiguration {
    /// As a file that says everything. What stands there as bullets has to be filled in before it is read again.
    package var effectiveText: String {
        var text = ""
        Self.write(GatewaySchema.root.write(FileDraft(self)), indent: 0, &text)
        return text
    }

    private static func write(_ written: Written, indent: Int, _ text: inout String) {
        guard case .group(let entries) = written else { return }
        let margin = String(repeating: " ", count: indent)
        for (key, value) in entries {
            text += "\(margin)\(YAMLScalar.quoted(key)):"
            switch value {
            case .text(let word): text += " \(YAMLScalar.quoted(word))\n"
            case .list(let words): text += " [\(words.map(YAMLScalar.quoted).joined(separator: ", "))]\n"
            case .group(let entries) where entries.isEmpty: text += " {}\n"
            case .group:
                text += "\n"
                Self.write(value, indent: indent + 2, &text)
            }
        }
    }
}

enum YAMLScalar {
    /// Plain where no reader of YAML can take it for anything else, otherwise in double quotes. `${` is doubled, since a
    /// value is never a reference any more.
    static func quoted(_ text: String) -> String {
        let text = text.split(separator: "${", omittingEmptySubsequences: false).joined(separator: "$${")
        if self.isPlain(text) { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{A0}", "\u{AD}", "\u{2028}", "\u{2029}", "\u{FEFF}":
                let digits = String(scalar.value, radix: 16)
                let width = scalar.value < 256 ? 2 : 4
                quoted += (width == 2 ? "\\x" : "\\u") + String(repeating: "0", count: width - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    private static func isPlain(_ text: String) -> Bool {
        guard let first = text.utf8.first, first.isEntryNameByte || first == UInt8(ascii: "/"),
            first != UInt8(ascii: "-"),
            text.utf8.allSatisfy({ $0.isEntryNameByte || "/.:+@%~".utf8.contains($0) }),
            text.utf8.last != UInt8(ascii: ":")
        else { return false }
        return !["null", "y", "n", "yes", "no", "on"].contains(text.lowercased())
    }
}
