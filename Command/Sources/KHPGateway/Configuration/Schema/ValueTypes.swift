// The types of values that are numbers, times, sizes and words.

import KHPProtocol

extension ValueType where Value == String {
    /// On one line.
    static func text(_ name: String = "text", upTo limit: Int = 1024) -> ValueType {
        ValueType(name, refused: ["", "a\u{7}b"]) { text throws(Wrong) in
            guard !text.isEmpty else { throw Wrong("is empty") }
            guard text.utf8.count <= limit else { throw Wrong("is longer than \(limit) bytes") }
            guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { throw Wrong("holds a control character") }
            return text
        } write: {
            $0
        }
    }

    /// The name of another entry of the configuration.
    static func reference(_ name: String) -> ValueType { .text("name of a \(name)", upTo: 64) }

    /// A path, relative to the folder of the configuration.
    static var file: ValueType {
        var type = ValueType.text("file", upTo: 4096)
        let read = type.read
        type.read = { text, path throws(Wrong) in path(try read(text, path)) }
        return type
    }
}

extension ValueType where Value == Secret {
    static var secret: ValueType {
        let text = ValueType<String>.text("secret", upTo: 4096)
        var type = ValueType<Secret>("secret", refused: text.refused) { _ throws(Wrong) in
            Secret("")
        } write: {
            "\($0)"
        }
        type.read = { value, path throws(Wrong) in Secret(try text.read(value, path)) }
        type.isSecret = true
        return type
    }
}

extension ValueType where Value == Bool {
    static var flag: ValueType {
        ValueType("true or false", refused: ["yes", "1", "True", "ON"]) { text throws(Wrong) in
            switch text {
            case "true", "on": return true
            case "false", "off": return false
            default: throw Wrong("is not true or false, nor on or off")
            }
        } write: {
            $0 ? "true" : "false"
        }
    }
}

extension ValueType where Value == Int {
    static func count(_ range: ClosedRange<Int>) -> ValueType {
        ValueType("number", refused: ["1_000", "0x10", "many", "\(range.lowerBound - 1)"]) { text throws(Wrong) in
            guard let number = Int(text), text.utf8.allSatisfy(\.isDigit) || text.hasPrefix("-") else {
                throw Wrong("is no whole number")
            }
            guard range.contains(number) else { throw Wrong("is not from \(range.lowerBound) to \(range.upperBound)") }
            return number
        } write: {
            String($0)
        }
    }

    static var percent: ValueType {
        ValueType("percentage", refused: ["50", "0%", "101%", "half"]) { text throws(Wrong) in
            guard text.hasSuffix("%"), let number = Int(text.dropLast()), text.dropLast().utf8.allSatisfy(\.isDigit)
            else {
                throw Wrong("is no percentage, such as 50%")
            }
            guard (1...100).contains(number) else { throw Wrong("is not from 1% to 100%") }
            return number
        } write: {
            "\($0)%"
        }
    }

    /// In bytes.
    static func size(_ range: ClosedRange<Int>) -> ValueType {
        let lower = ByteSize.text(range.lowerBound)
        let upper = ByteSize.text(range.upperBound)
        return ValueType("size", refused: ["64K", "1.5MiB", "-1", ByteSize.text(range.lowerBound - 1)]) {
            text throws(Wrong) in
            guard let size = ByteSize.read(text) else {
                throw Wrong("is no size, such as 64KiB, 1MiB, 10MB or 512")
            }
            guard range.contains(size) else { throw Wrong("is not from \(lower) to \(upper)") }
            return size
        } write: {
            ByteSize.text($0)
        }
    }
}

extension ValueType where Value == Duration {
    static func duration(_ range: ClosedRange<Duration>) -> ValueType {
        let lower = TimeText.text(range.lowerBound)
        let upper = TimeText.text(range.upperBound)
        var refused = ["30", "22:30", "1.5h", "-1s", "30 s", "forever"]
        if range.lowerBound > .zero { refused.append("0s") }
        return ValueType("duration", refused: refused) { text throws(Wrong) in
            guard let duration = TimeText.read(text) else {
                let isNumber = !text.isEmpty && text.utf8.allSatisfy(\.isDigit)
                throw Wrong(
                    isNumber ? "is no duration; say \(text)s" : "is no duration, such as 500ms, 30s, 5m, 1h or 2d"
                )
            }
            guard range.contains(duration) else { throw Wrong("is not from \(lower) to \(upper)") }
            return duration
        } write: {
            TimeText.text($0)
        }
    }
}

extension ValueType where Value == Rate {
    static var rate: ValueType {
        ValueType("rate", refused: ["500", "500/day", "0/s", "fast"]) { text throws(Wrong) in
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, let count = Int(parts[0]), parts[0].utf8.allSatisfy(\.isDigit),
                let unit = Rate.units.first(where: { $0.name == parts[1] })
            else { throw Wrong("is no rate, such as 500/s, 100/m or 10/h") }
            guard (1...1_000_000_000).contains(count) else { throw Wrong("is not from 1 to 1000000000 in a time") }
            return Rate(count: count, seconds: unit.seconds)
        } write: {
            "\($0)"
        }
    }
}

extension ValueType where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    /// One of a few words.
    static var choice: ValueType {
        let words = Value.allCases.map(\.rawValue)
        return ValueType(words.joined(separator: ", ").replacingLastComma, refused: ["neither", ""]) {
            text throws(Wrong) in
            guard let value = Value(rawValue: text) else {
                throw Wrong("is none of \(words.joined(separator: ", "))" + NearestName.question(text, among: words))
            }
            return value
        } write: {
            $0.rawValue
        }
    }
}

extension ValueType where Value == GatewayConfiguration.Scheme {
    static var scheme: ValueType {
        let words = GatewayConfiguration.Scheme.all.map(\.text)
        return ValueType("scheme", refused: ["negotiate", "Basic"]) { text throws(Wrong) in
            guard let scheme = GatewayConfiguration.Scheme.all.first(where: { $0.text == text }) else {
                throw Wrong("is none of \(words.joined(separator: ", "))" + NearestName.question(text, among: words))
            }
            return scheme
        } write: {
            $0.text
        }
    }
}

extension ValueType where Value == Dialect {
    static var dialect: ValueType {
        let words = Dialect.all.map(\.name)
        return ValueType("dialect", refused: ["rfc6544", ""]) { text throws(Wrong) in
            guard let dialect = Dialect(name: text) else {
                throw Wrong("is none of \(words.joined(separator: ", "))" + NearestName.question(text, among: words))
            }
            return dialect
        } write: {
            $0.name
        }
    }
}

extension UInt8 {
    var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
}

extension String {
    /// `a, b or c` of `a, b, c`.
    fileprivate var replacingLastComma: String {
        let parts = self.split(separator: ", ")
        guard let last = parts.last, parts.count > 1 else { return self }
        return parts.dropLast().joined(separator: ", ") + " or " + last
    }
}
