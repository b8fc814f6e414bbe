import KHPProtocol
import Testing

@Suite("Extensions made of what a configuration says")
struct BuiltInExtensionTests {
    private func make(_ name: String, _ parameters: [(String, String?)]) throws -> String? {
        let offer = ExtensionOffer(name: name, parameters: .init(parameters.map { .init($0.0, $0.1) }))
        return try BuiltInExtensions.make(offer, role: .server, revalidate: { _ in }).map { "\($0.name)" }
    }

    @Test(
        "parameters that an extension knows",
        arguments: [
            ("x-kaazing-idle-timeout", []), ("x-kaazing-idle-timeout", [("timeout", "1")]),
            ("x-kaazing-idle-timeout", [("timeout", "30000")]), ("x-kaazing-ping-pong", []),
            ("x-kaazing-http-revalidate", []), ("permessage-deflate", []),
        ] as [(String, [(String, String?)])]
    )
    func known(_ name: String, _ parameters: [(String, String?)]) throws {
        #expect(try self.make(name, parameters) == name)
    }

    @Test(
        "others are refused, and not passed over",
        arguments: [
            ("x-kaazing-idle-timeout", [("timeout", "0")]), ("x-kaazing-idle-timeout", [("timeout", "-1")]),
            ("x-kaazing-idle-timeout", [("timeout", "x")]), ("x-kaazing-idle-timeout", [("timeout", nil)]),
            ("x-kaazing-idle-timeout", [("time", "1")]), ("x-kaazing-idle-timeout", [("timeout", "1"), ("a", "b")]),
            ("x-kaazing-idle-timeout", [("timeout", "1"), ("timeout", "2")]), ("x-kaazing-ping-pong", [("a", nil)]),
            ("x-kaazing-http-revalidate", [("a", "b")]), ("permessage-deflate", [("a", "b")]),
        ] as [(String, [(String, String?)])]
    )
    func unknown(_ name: String, _ parameters: [(String, String?)]) {
        let error = #expect(throws: WebSocketError.self) { try self.make(name, parameters) }
        #expect(error?.code == .invalidArgument)
    }

    @Test func aNameThatNobodyKnowsIsNone() throws {
        #expect(try self.make("x-other", []) == nil)
    }
}
