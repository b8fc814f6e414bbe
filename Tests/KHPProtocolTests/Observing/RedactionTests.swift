// URLs, targets, fields and heads are shown without the credentials in them (threat G12).

import HTTPTypes
import Testing

@testable import KHPProtocol

struct RedactionTests {
    @Test(
        "values of parameters that mean a credential are hidden, all others stay",
        arguments: [
            ("ws://h/a?token=abc", "ws://h/a?token=•••"), ("/a?x=1&token=abc&.kl=Y", "/a?x=1&token=•••&.kl=Y"),
            ("/a?access_token=a&id_token=b&refresh-token=c", "/a?access_token=•••&id_token=•••&refresh-token=•••"),
            ("/?apiKey=a&api_key=b&API-KEY=c&key=d", "/?apiKey=•••&api_key=•••&API-KEY=•••&key=•••"),
            ("/?X-Amz-Signature=a&sig=b&X-Amz-Date=2026", "/?X-Amz-Signature=•••&sig=•••&X-Amz-Date=2026"),
            ("/?password=a&passwd=b&pwd=c&client_secret=d", "/?password=•••&passwd=•••&pwd=•••&client_secret=•••"),
            ("/?ticket=a&session=b&sid=c&jwt=d&code=e", "/?ticket=•••&session=•••&sid=•••&jwt=•••&code=•••"),
            ("/?auth=a&authorization=b", "/?auth=•••&authorization=•••"),
            // Percent-encoded names.
            ("/?%74oken=abc", "/?%74oken=•••"), ("/?to%6Ben=abc&a=%20", "/?to%6Ben=•••&a=%20"),
            // In the path, as servlets have it, and behind other separators.
            ("/a;jsessionid=abc/b;v=1?x=2", "/a;jsessionid=•••/b;v=1?x=2"),
            ("/?a=1;token=abc;b=2", "/?a=1;token=•••;b=2"),
            ("/?a=1&amp;token=abc", "/?a=1&amp;token=•••"), ("/?token=a#b", "/?token=•••#b"),
            ("/?token=a/b?c&d=e", "/?token=•••&d=e"), ("/?token=a=b==", "/?token=•••"),
            // A URL inside.
            ("/?next=ws://h/?token=abc&b=1", "/?next=ws://h/?token=•••&b=1"),
            ("/?next=ws%3A%2F%2Fh%2F%3Ftoken%3Dabc&b=1", "/?next=•••&b=1"),
            ("/?next=ws%3A%2F%2Fjoe%3Apw%40h%2F&b=1", "/?next=•••&b=1"),
            ("/?next=ws%253A%252F%252Fh%252F%253Ftoken%253Dabc", "/?next=•••"),
            ("/?next=ws://joe:pw@h/&token=abc", "/?next=ws://•••@h/&token=•••"),
            // Without a name.
            ("/?0123456789abcdef", "/?•••"), ("/?a=1&0123456789abcdef&b", "/?a=1&•••&b"),
            ("/?0123456789abcde", "/?0123456789abcde"),
            ("/0123456789abcdef;0123456789abcdef", "/0123456789abcdef;0123456789abcdef"),
            // No credentials.
            (
                "/?keyword=a&monkey=b&codec=c&authors=d&.kl=Y&.kv=10.05",
                "/?keyword=a&monkey=b&codec=c&authors=d&.kl=Y&.kv=10.05"
            ),
            ("/token=abc/x", "/token=abc/x"), ("/?token", "/?token"), ("/?token=&a=b", "/?token=&a=b"), ("/", "/"),
            ("", ""),
            ("?", "?"), ("/?=", "/?="), ("/?%=%", "/?%=%"), ("/?a=%2", "/?a=%2"),
        ]
    )
    func parameters(_ text: String, _ expected: String) {
        #expect(Redaction.shown(text) == expected)
    }

    @Test(
        "user information is hidden, and an @ elsewhere is not taken for it",
        arguments: [
            ("ws://joe:secret@host/a@b", "ws://•••@host/a@b"), ("ws://host/?q=a@b", "ws://host/?q=a@b"),
            ("ws://a@b@host", "ws://•••@host"), ("nonsense", "nonsense"), ("//joe@host/", "//•••@host/"),
            ("<wss://joe:pw@h/?token=a>; rel=\"alternate\", </b>", "<wss://•••@h/?token=•••>; rel=\"alternate\", </b>"),
            ("see ws://a:b@c/ or ws://d:e@f/?sid=1 now", "see ws://•••@c/ or ws://•••@f/?sid=••• now"),
            ("/a//b@c", "/a//b@c"), ("see &x=http://us%40er:ab&cd@host/p", "see &x=•••@host/p"),
        ]
    )
    func userInformation(_ text: String, _ expected: String) {
        #expect(Redaction.shown(text) == expected)
    }

    @Test(
        "fields: credentials as a whole, URLs in part, parameters of other kinds not at all",
        arguments: [
            ("Authorization", "Basic abc", "Basic •••"), ("Cookie", "a=b", "•••"),
            ("Location", "ws://a:b@c/?token=d&e=f", "ws://•••@c/?token=•••&e=f"),
            ("WebSocket-Location", "ws://c/?token=d", "ws://c/?token=•••"),
            ("Referer", "http://c/?sid=d", "http://c/?sid=•••"),
            ("Sec-WebSocket-Extensions", "x-number; key=1;code=2", "x-number; key=1;code=2"),
            ("Accept", "*/*;q=0.5", "*/*;q=0.5"),
        ]
    )
    func fields(_ name: String, _ value: String, _ expected: String) {
        #expect(Redaction.line(name, value) == "\(name): \(expected)\r\n")
        var fields = HeadFields()
        fields.append(name, value)
        #expect("\(fields)" == "\(name): \(name == "Authorization" ? "•••" : expected)\n")
    }

    @Test("a URL, a head and a balancer's redirect show no more when they are printed, dumped or reflected")
    func everyForm() throws {
        let url = try WebSocketURL("wss://h/a?token=canary&.kl=Y")
        let head = RequestHead(method: "GET", target: url.resource, fields: HeadFields())
        let message = KaazingLegacyMessage.redirect(to: url.description)
        let step = RedirectStep(from: url, to: url, status: 302, layer: .opening)
        let error = WebSocketError(.timeout, "It took too long.", url: url)
        let event = ConnectionEvent.redirect(from: url, to: url, status: 302, layer: .opening)
        var shown = head.redactedText + "\(head) \(message) \(step) \(error) \(event) \(url.redacted) "
        let values: [Any] = [url, head, message, step, error, event, ConnectionEvent.connecting(url: url, attempt: 1)]
        for value in values {
            dump(value, to: &shown)
            shown += String(reflecting: value) + "\([value])"
        }
        #expect(!shown.contains("canary"), "\(shown)")
        #expect(shown.contains("wss://h/a?token=•••&.kl=Y"))
        // The URL itself can be read in full.
        #expect("\(url)" == "wss://h/a?token=canary&.kl=Y")
    }

    @Test("the plans of a client and of an answer show no field that a caller has set, and no credential")
    func plans() throws {
        let fields: HTTPFields = [.authorization: "Bearer canary", .cookie: "a=canary"]
        let url = try WebSocketURL("wss://h/a?token=canary")
        var plan = ClientPlan(url: url)
        plan.headers = fields
        plan.cookies = "a=canary"
        plan.extended.headers = fields
        let opening = OpeningClientPlan(
            url: url,
            key: "k",
            extraFields: fields,
            cookies: "a=canary",
            authorization: "canary"
        )
        let extended = ExtendedClientPlan(url: url, extraFields: fields, authorization: "canary", acceptValue: "")
        let agreement = Agreement()
        let answer = Acceptance(acceptValue: AcceptValue(), negotiated: agreement, date: "", server: "", fields: fields)
        let caller = CallerFields(fields)
        var shown = ""
        let values: [Any] = [plan, plan.extended, opening, extended, answer, caller]
        for value in values {
            dump(value, to: &shown)
            shown += String(reflecting: value) + "\(value)" + "\([value])"
        }
        #expect(!shown.contains("canary"), "\(shown)")
        #expect("\(caller)" == "Authorization: Bearer •••\nCookie: •••")
    }

    @Test("the stand-in may be as long as what it hides")
    func standIn() {
        #expect(Redaction.shown("/?token=abc&b=1") { Array(repeating: 0x78, count: $0.count) } == "/?token=xxx&b=1")
    }

    /// Secrets that only decoding shows, in front of the values, among them and behind the last.
    @Test(
        "threat H1: an encoded URL anywhere stops nothing",
        arguments: [
            "?a=b ws%3A%2F%2Fjoe%3Acanary%40h/", "ws%3A%2F%2Fjoe%3Acanary%40h/ ?a=b",
            "?a=b&c=%64 http%3A%2F%2Fh%2F%3Ftoken%3Dcanary", "?a=b %3Ftoken=canary", "?token=%61 @ %3Ftoken%253Dx",
        ]
    )
    func anywhere(_ text: String) {
        #expect(!Redaction.shown(text).isEmpty)
    }
}
