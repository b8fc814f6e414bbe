import HTTPTypes
import KHPProtocol
import Testing

@Suite("Dates of cookies (RFC 6265 section 5.1.1)")
struct CookieDateTests {
    @Test(
        "every form that servers write",
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Mon, 10-Dec-2007 17:02:24 GMT", 1_197_306_144), ("Mon, 10-Dec-2007 17:02:24 DST", 1_197_306_144),
            ("10 DECEMBER 2007 17:2:24", 1_197_306_144), ("17:02:24 2007 10 dec", 1_197_306_144),
            ("Wed, 09 Dec 2009 16:27:23 GMT", 1_260_376_043), ("09 Dec 09 16:27:23", 1_260_376_043),
            ("Mon Dec 24 16:32:39 1977 GMT", 251_829_159), ("24-Dec-77 16:32:39", 251_829_159),
            ("29 Feb 2000 0:0:0", 951_782_400), ("31 Dec 69 23:59:59", 3_155_759_999),
            ("1 Jan 1601 00:00:00", -11_644_473_600), ("31 Dec 9999 23:59:59", 253_402_300_799),
            ("19 Jan 2038 03:14:07", 2_147_483_647), ("09;Jun;2021;10:18:14", 1_623_233_894),
            ("10 Dec 2007 17:02:24.123 GMT", 1_197_306_144), ("10th Dec 2007x 17:02:24z", 1_197_306_144),
        ] as [(String, Int64)]
    )
    func read(text: String, seconds: Int64) {
        #expect(CookieDate.parse(text) == seconds)
    }

    @Test(
        "what is no date",
        arguments: [
            "", "garbage", "06 Nov 1994", "Nov 1994 08:49:37", "06 1994 08:49:37", "06 Nov 08:49:37",
            "06 Nov 1994 08:49", "06 Nov 1994 24:00:00", "06 Nov 1994 08:60:37", "06 Nov 1994 08:49:60",
            "00 Nov 1994 08:49:37", "32 Nov 1994 08:49:37", "31 Nov 1994 08:49:37", "29 Feb 1900 08:49:37",
            "29 Feb 2001 08:49:37", "06 Nov 1600 08:49:37", "06 Nov 19940 08:49:37", "006 Nov 1994 08:49:37",
            "06 Nov 1994 008:49:37", "06 Nov 1994 08:49:370", "06 Nov 1994 08:49:37:",
            "06 Nov 1994 8a:49:37", "06 No 1994 08:49:37", "-1 Nov 1994", String(repeating: "9", count: 10_000),
        ]
    )
    func refused(text: String) {
        // The last digits may be followed by what is no digit, a colon among it.
        let expected: Int64? = text == "06 Nov 1994 08:49:37:" ? 784_111_777 : nil
        #expect(CookieDate.parse(text) == expected)
    }

    @Test(
        "Retry-After in seconds and as a date (RFC 9110 section 10.2.3)",
        arguments: [
            ("120", 120), ("0", 0), ("Sun, 06 Nov 1994 08:50:37 GMT", 60), ("Sun, 06 Nov 1994 08:49:00 GMT", 0),
            ("99999999999999999999999", 999_999_999), ("", nil), ("-1", nil), ("1.5", nil), ("soon", nil),
            ("120 ", nil), ("\u{661}", nil),
        ] as [(String, Int64?)]
    )
    func retryAfter(text: String, seconds: Int64?) {
        let response = HandshakeResponse(status: 503, reason: "", headers: [.retryAfter: text])
        // HTTPFields takes white space off a value.
        let expected = text == "120 " ? 120 : seconds
        #expect(response.retryAfter(now: 784_111_777) == expected.map { .seconds($0) })
    }

    @Test("two of Retry-After say nothing")
    func twoRetryAfter() {
        var response = HandshakeResponse(status: 503, reason: "")
        response.headers.append(HTTPField(name: .retryAfter, value: "1"))
        response.headers.append(HTTPField(name: .retryAfter, value: "2"))
        #expect(response.retryAfter(now: 0) == nil)
    }
}
