// Dates as servers write them (RFC 6265 section 5.1.1): every form of RFC 9110 section 5.6.7, and most other forms in
// use. Linear, without locale or time zone.

package enum CookieDate {
    /// Seconds since 1970 UTC; `nil` unless the text is a date.
    package static func parse(_ text: String) -> Int64? {
        var time: (hour: Int, minute: Int, second: Int)?
        var day: Int?
        var month: Int?
        var year: Int?
        let bytes = Array(text.utf8)
        var position = 0
        while position < bytes.count {
            guard !Self.isDelimiter(bytes[position]) else {
                position += 1
                continue
            }
            let start = position
            while position < bytes.count, !Self.isDelimiter(bytes[position]) { position += 1 }
            let token = bytes[start..<position]
            if time == nil, let found = Self.time(token) {
                time = found
            } else if day == nil, let found = Self.number(token, digits: 1...2) {
                day = found
            } else if month == nil, let found = Self.month(token) {
                month = found
            } else if year == nil, let found = Self.number(token, digits: 2...4) {
                year = found
            }
        }
        guard let time, let day, let month, var year else { return nil }
        if (70...99).contains(year) { year += 1900 }
        if (0...69).contains(year) { year += 2000 }
        guard year >= 1601, time.hour <= 23, time.minute <= 59, time.second <= 59 else { return nil }
        guard day >= 1, day <= Self.days(inMonth: month, of: year) else { return nil }
        let days = Self.daysSince1970(year: year, month: month, day: day)
        return days * 86_400 + Int64(time.hour * 3600 + time.minute * 60 + time.second)
    }

    private static func isDelimiter(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x09, 0x20...0x2F, 0x3B...0x40, 0x5B...0x60, 0x7B...0x7E: true
        default: false
        }
    }

    /// A number with so many digits; the text may go on with anything but a digit.
    private static func number(_ token: ArraySlice<UInt8>, digits: ClosedRange<Int>) -> Int? {
        var count = 0
        var value = 0
        for byte in token {
            guard Bytes.isDigit(byte) else { break }
            count += 1
            guard count <= digits.upperBound else { return nil }
            value = value * 10 + Int(byte - 0x30)
        }
        return count >= digits.lowerBound ? value : nil
    }

    /// `h:m:s`, each with one or two digits; the text may go on with anything but a digit.
    private static func time(_ token: ArraySlice<UInt8>) -> (Int, Int, Int)? {
        guard token.contains(Bytes.colon) else { return nil }
        let parts = token.split(separator: Bytes.colon, maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].allSatisfy(Bytes.isDigit), parts[1].allSatisfy(Bytes.isDigit),
            let hour = Self.number(parts[0], digits: 1...2),
            let minute = Self.number(parts[1], digits: 1...2),
            let second = Self.number(parts[2], digits: 1...2)
        else { return nil }
        return (hour, minute, second)
    }

    private static let months = "janfebmaraprmayjunjulaugsepoctnovdec"

    /// 1…12 from the first three letters.
    private static func month(_ token: ArraySlice<UInt8>) -> Int? {
        guard token.count >= 3, let first = token.first, Bytes.isLetter(first) else { return nil }
        let name = token.prefix(3).lazy.map(Bytes.lowercased)
        return (1...12).first { Self.months.utf8.dropFirst(($0 - 1) * 3).starts(with: name) }
    }

    private static func days(inMonth month: Int, of year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// The proleptic Gregorian calendar, counted in years that begin in March.
    private static func daysSince1970(year: Int, month: Int, day: Int) -> Int64 {
        let year = month <= 2 ? year - 1 : year
        let era = year / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return Int64(era * 146_097 + dayOfEra - 719_468)
    }
}
