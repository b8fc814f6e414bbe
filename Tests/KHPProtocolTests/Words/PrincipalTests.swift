// A principal is a value: copies do not share changes, equality sees each part, and nothing secret is printed.

import KHPProtocol
import Testing

@Suite struct PrincipalTests {
    @Test("each part counts, and a copy has its own")
    func value() {
        let plain: Principal = "joe"
        let changes: [(inout Principal) -> Void] = [
            { $0.name = "ann" }, { $0.realm = "desk" }, { $0.roles = ["trader"] }, { $0.claims = ["a": "b"] },
            { $0.expires = 4 },
        ]
        for change in changes {
            var other = plain
            change(&other)
            #expect(other != plain)
            #expect(plain == Principal("joe"))
            #expect(Set([other, plain, other, Principal("joe")]).count == 2)
        }
        #expect(MemoryLayout<Principal?>.size == MemoryLayout<Int>.size)
    }

    @Test("claims are not printed")
    func silence() {
        let principal = Principal("joe", realm: "desk", claims: ["pin": "CANARY"])
        var dumped = ""
        dump(principal, to: &dumped)
        #expect(!"\(principal) \(String(reflecting: principal)) \(dumped)".contains("CANARY"))
        #expect("\(principal)" == "joe")
    }
}
