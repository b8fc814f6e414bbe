// Numbers as they are typed: each option reads its text once, into a type that cannot hold what the option does not take.

import ArgumentParser

/// A span of time: seconds, fractions allowed (D22).
struct Seconds: Sendable, Equatable {
    let duration: Duration

    init(_ seconds: Double) {
        self.duration = .seconds(seconds)
    }

    init(argument: String) throws {
        guard let value = Double(argument), value.isFinite, (0...1_000_000).contains(value) else {
            throw ValidationError("it has to be a number of seconds from 0 to 1000000")
        }
        self.init(value)
    }
}

/// A span of time that is not empty.
struct PositiveSeconds: Sendable, Equatable {
    let duration: Duration

    init(argument: String) throws {
        self.duration = try Seconds(argument: argument).duration
        guard self.duration > .zero else { throw ValidationError("it has to be more than 0 seconds") }
    }

    private init(_ seconds: Int) {
        self.duration = .seconds(seconds)
    }

    static let ten = PositiveSeconds(10)
    static let thirty = PositiveSeconds(30)
}

/// How many of something, at least one.
struct PositiveCount: Sendable, Equatable {
    let value: Int

    init(argument: String) throws {
        self.value = try Number.read(argument, in: 1...Int.max)
    }

    private init(_ value: Int) {
        self.value = value
    }

    static let tenThousand = PositiveCount(10_000)
}

/// A size in bytes, at least one: `65536`, `64KiB`, `1MiB`, `2GiB`.
struct ByteCount: Sendable, Equatable {
    let value: Int

    private static let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)]

    init(argument: String) throws {
        let unit = Self.units.first { argument.hasSuffix($0.0) }
        let digits = unit.map { String(argument.dropLast($0.0.count)) } ?? argument
        guard let number = try? Number.read(digits, in: 1...Int.max),
            case let (value, overflow) = number.multipliedReportingOverflow(by: 1 << (unit?.1 ?? 0)), !overflow
        else {
            throw ValidationError("it has to be a number of bytes from 1, such as 65536, 64KiB or 1MiB")
        }
        self.value = value
    }

    private init(_ value: Int) {
        self.value = value
    }

    static let oneMebibyte = ByteCount(1 << 20)
}

/// Whole numbers within bounds.
enum Number {
    static func read(_ text: String, in range: ClosedRange<Int>) throws -> Int {
        guard let number = Int(text), range.contains(number) else {
            let words =
                range.upperBound == .max
                ? "from \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
            throw ValidationError("it has to be a number \(words)")
        }
        return number
    }
}
