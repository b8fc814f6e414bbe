// One list of the names that mean a credential, for fields and for parameters alike.

import Testing

@testable import KHPProtocol

struct SecretNameTests {
    @Test(
        "a name that means a credential hides its value, in a field and in a query, in any case",
        arguments: [
            "X-Auth-Key", "Authentication", "X-Jwt", "X-Access-Key", "Ocp-Apim-Subscription-Key", "X-Api-Key",
            "Api-Key", "Set-CookiE", "AuthorizatioN", "pROXY-aUTHORIZATION", "apikey", "X-ApiKey", "X-Functions-Key",
            "X-Goog-Api-Key", "X-Auth-Token", "X-Access-Token", "X-Csrf-Token", "X-Amz-Security-Token",
            "Private-Token", "Token", "X-Secret", "Client-Secret", "X-Shared-Secret", "X-Password", "Passwd",
            "X-Signature", "X-Hub-Signature-256", "Signature", "X-Session-Id", "Session", "X-Credential", "X-Otp",
            "X-Hmac", "Bearer", "X-Bearer", "X-Authorization", "X-Forwarded-Authorization", "Authorization",
            "Proxy-Authorization", "Cookie", "Set-Cookie", "Cookie2", "Authentication-Info", "X-Auth", "X-Sid",
            "X-Ticket", "X-Passphrase", "X-Assertion", "X-Master-Key", "Secret-Key", "X-Pwd", "JWT",
            "X-Original-Cookie", "subscription-key", "x-vault-token", "X-Account-Key", "accessKey", "sharedKey",
        ]
    )
    func secret(_ name: String) {
        for name in [name, name.lowercased(), name.uppercased()] {
            #expect(!Redaction.line(name, "canary").contains("canary"), "the field \(name)")
            #expect(!Redaction.shown("/?\(name)=canary&a=b").contains("canary"), "the parameter \(name)")
            var fields = HeadFields()
            fields.append(name, "canary")
            #expect(!fields.description.contains("canary"), "the description with \(name)")
        }
    }

    @Test(
        "names of other things stay readable",
        arguments: [
            "Host", "Origin", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Accept",
            "Sec-WebSocket-Key1", "Sec-WebSocket-Version", "User-Agent", "WWW-Authenticate", "Proxy-Authenticate",
            "Location", "Retry-After", "Idempotency-Key", "X-Request-Id", "X-Forwarded-For", "Content-Type",
            "keyword", "monkey", "author", "authors", "codec", "keyboard", "sidebar", "Accept-Encoding",
            "Cache-Control", "passenger", "Public-Key-Pins",
        ]
    )
    func other(_ name: String) {
        #expect(Redaction.line(name, "plain") == "\(name): plain\r\n")
        #expect(Redaction.shown("/?\(name)=plain") == "/?\(name)=plain")
    }

    private static let opaque = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJqb2UifQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

    @Test(
        "tokens that travel as subprotocols are hidden, names of protocols are not",
        arguments: [
            ("bearer.c2VjcmV0", "bearer.•••"), ("Bearer.c2VjcmV0, chat", "Bearer.•••, chat"),
            (
                "base64url.bearer.authorization.k8s.io.c2VjcmV0, base64.binary.k8s.io",
                "base64url.bearer.authorization.k8s.io.•••, base64.binary.k8s.io"
            ),
            (opaque, "•••"), ("chat, \(opaque)", "chat, •••"), ("access_token, c2VjcmV0", "access_token, •••"),
            ("jwt, abc.def", "jwt, •••"), ("token.c2VjcmV0", "token.•••"), ("jwt.abc, v2", "jwt.•••, v2"),
            ("auth-c2VjcmV0, x", "auth-•••, x"),
            ("550e8400-e29b-41d4-a716-446655440000", "•••"), ("0123456789abcdef0123456789abcdef", "•••"),
            ("x-kaazing-handshake, v12.stomp", "x-kaazing-handshake, v12.stomp"),
            ("graphql-transport-ws, graphql-ws", "graphql-transport-ws, graphql-ws"),
            ("v10.stomp, v11.stomp, v12.stomp", "v10.stomp, v11.stomp, v12.stomp"),
            ("base64.channel.k8s.io, v4.channel.k8s.io", "base64.channel.k8s.io, v4.channel.k8s.io"),
            ("com.example.trading.prices.stream", "com.example.trading.prices.stream"),
            ("ocpp1.6, ocpp2.0.1, soap", "ocpp1.6, ocpp2.0.1, soap"), ("mqtt", "mqtt"), ("", ""),
            ("org.webrtc.janus-protocol", "org.webrtc.janus-protocol"),
            // Twenty bytes with digits among them can be a token, fewer are a name.
            ("abcdefghijklmno12345", "•••"), ("abcdefghijklmn12345", "abcdefghijklmn12345"),
        ]
    )
    func subprotocols(_ value: String, _ expected: String) {
        for name in ["Sec-WebSocket-Protocol", "sec-websocket-protocol", "WebSocket-Protocol", "X-WebSocket-Protocol"] {
            #expect(Redaction.line(name, value) == "\(name): \(expected)\r\n")
        }
    }

    @Test("an error does not repeat the token of a subprotocol that cannot be asked for")
    func refused() throws {
        for names in [["bearer.canary canary"], ["bearer.canary", "bearer.canary"]] {
            let error = #expect(throws: WebSocketError.self) { try Subprotocols.validate(names) }
            #expect(error.map { "\($0)".contains("bearer.•••") && !"\($0)".contains("canary") } == true)
        }
    }
}
