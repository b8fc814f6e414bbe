// The time of day in logs: UTC with milliseconds (RFC 3339), without a library for calendars.

import Foundation

struct Timestamp: Sendable, CustomStringConvertible {
    /// Since 1970.
    var milliseconds: Int64

    static var now: Timestamp {
        Timestamp(milliseconds: Int64((Date().timeIntervalSince1970 * 1000).rounded(.down)))
    }

    var seconds: Double { Double(self.milliseconds) / 1000 }

    var description: String {
        let days = self.milliseconds.dividedDown(by: 86_400_000)
        let rest = self.milliseconds - days * 86_400_000
        let (year, month, day) = Self.date(days)
        let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60)
        return "\(year.digits(4))-\(month.digits(2))-\(day.digits(2))"
            + "T\(hour.digits(2)):\(minute.digits(2)):\(second.digits(2)).\((rest % 1000).digits(3))Z"
    }

    /// The date of a day since 1970, by the eras of 400 years that the Gregorian calendar repeats in.
    private static func date(_ days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        // Years begin in March here, so that the leap day is their last.
        let shifted = days + 719_468
        let era = shifted.dividedDown(by: 146_097)
        let ofEra = shifted - era * 146_097
        let year = (ofEra - ofEra / 1460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * year + year / 4 - year / 100)
        let month = (5 * ofYear + 2) / 153
        let day = ofYear - (153 * month + 2) / 5 + 1
        let calendarMonth = month < 10 ? month + 3 : month - 9
        return (year + era * 400 + (calendarMonth <= 2 ? 1 : 0), calendarMonth, day)
    }
}

extension Int64 {
    fileprivate func dividedDown(by divisor: Int64) -> Int64 {
        let (quotient, remainder) = self.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }

    fileprivate func digits(_ count: Int) -> String {
        let text = String(self)
        return String(repeating: "0", count: Swift.max(count - text.count, 0)) + text
    }
}
