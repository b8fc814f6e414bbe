import Testing

@testable import KHPGateway

/// Realms of certificates at listeners that ask for none.
@Suite("Doors of certificates")
struct DoorCheckTests {
    private static let head = """
        version: 1
        listeners: {a: {listen: 127.0.0.1:0}, b: {listen: 127.0.0.1:0, trust: 127.0.0.1, proxyProtocol: required, \
        trustClientCN: true}}
        """

    /// The findings about the service's realms.
    private static func findings(_ realms: String, _ listed: String) -> [String] {
        let text = """
            \(Self.head)
            realms: {\(realms)}
            services: {s: {path: /s, type: echo, listeners: a, realm: \(listed)}}
            """
        return ConfigurationFixture.findings(text).filter { $0.contains("services.s.realm") }
    }

    private static let san = "devices: {certificate: {principal: san-uri}}"
    private static let users = "staff: {schemes: basic, users: users}"

    @Test("another realm that can prove something there makes it a warning")
    func other() {
        for listed in ["[devices, staff]", "[staff, devices]"] {
            let found = Self.findings("\(Self.san), \(Self.users)", listed)
            #expect(found.count == 1)
            #expect(
                found.first?.hasSuffix(
                    "warning: services.s.realm: devices asks for certificates, and listener a has no clientAuth: "
                        + "there other proofs count alone"
                ) ?? false,
                "\(found)"
            )
        }
    }

    @Test("it is an error where none can")
    func none() {
        let one = Self.findings(Self.san, "devices")
        #expect(one.count == 1 && one.allSatisfy { !$0.contains("warning") }, "\(one)")
        let both = Self.findings("\(Self.san), more: {certificate: {principal: cn}}", "[devices, more]")
        #expect(both.count == 2 && both.allSatisfy { !$0.contains("warning") }, "\(both)")
    }
}
