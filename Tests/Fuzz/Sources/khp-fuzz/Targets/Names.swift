// Names of hosts, paths and addresses: the machine under test against a rule written down a second time, as simply as
// it can be.

import KHPProtocol
import NIOCore

extension FuzzTarget {
    /// The first line is the host of a URL, the others are the names in a certificate.
    static let identities = FuzzTarget(name: "identities") { _ in
        [
            "a.example\na.example", "a.example.\n*.example\nb.example", "127.0.0.1\n127.0.0.1\n*.0.0.1",
            "[::1]\n::1", "xn--bcher-kva.example\n*.example", "12.0.0.-7\n12.0.0.-7",
            "a.b.example\n*.example\n*.b.example\na*.b.example\n*", "127.0.0.1\n\u{7F}\0\0\u{1}\nabcdefghijklmnop",
        ]
        .map { Array($0.utf8) }
    } run: { input in
        var lines = input.content.split(separator: 0x0A, omittingEmptySubsequences: false)[...].map { Array($0) }[...]
        let host = String(decoding: lines.popFirst() ?? [], as: UTF8.self)
        guard let url = try? WebSocketURL("wss://\(host)/"), url.host.utf8.count < 500 else { return }
        let identity = ServerIdentity(host: url.host)
        let names = Array(lines.prefix(20))
        let isRight = names.contains { Self.isOwner($0, url.host) }
        check(identity.isAmong(PresentedIdentifiers(names: names)) == isRight, "\(url.host) and \(names)")
        check(!identity.isAmong(PresentedIdentifiers()), "a certificate for nobody is for \(url.host)")
        // An address is no name, whatever is written there.
        let isAddress = identity.serverName == nil
        check(!isAddress || !isRight, "the name of an address is taken for \(url.host)")
        for bytes in names where bytes.count == 4 || bytes.count == 16 {
            let isThis = identity.isAmong(PresentedIdentifiers(addresses: [bytes]))
            check(!isThis || isAddress, "an address is taken for the name \(url.host)")
        }
        let text = PresentedIdentifiers(names: names, addresses: names.filter { [4, 16].contains($0.count) })
            .description
        check(
            text.unicodeScalars.allSatisfy { $0.isASCII && $0.value >= 0x20 || $0 == "…" },
            "\(text.debugDescription)"
        )
        check(text.utf8.count < 700, "\(text.utf8.count) bytes of names")
    }

    /// RFC 9525 section 6.3, label by label.
    private static func isOwner(_ pattern: [UInt8], _ host: String) -> Bool {
        // A label with a sign is no number, as `Int` would have it.
        let isAddress = host.split(separator: ".").allSatisfy { $0.utf8.allSatisfy { 0x30...0x39 ~= $0 } }
        guard !host.contains(":"), !isAddress else { return false }
        func labels(_ bytes: [UInt8]) -> [[UInt8]] {
            let lowered = bytes.map { 0x41...0x5A ~= $0 ? $0 | 0x20 : $0 }
            let whole = lowered.last == 0x2E ? Array(lowered.dropLast()) : lowered
            return whole.split(separator: 0x2E, omittingEmptySubsequences: false).map { Array($0) }
        }
        let (wanted, given) = (labels(Array(host.utf8)), labels(pattern))
        guard wanted != [[]], wanted.count == given.count else { return false }
        if given == wanted { return true }
        return given.count > 1 && given[0] == [0x2A] && !wanted[0].isEmpty && given.dropFirst() == wanted.dropFirst()
            && !(given.count == 2 && given[1].isEmpty)
    }

    /// The first line is the path of a request, the others are the paths of endpoints.
    static let routes = FuzzTarget(name: "routes") { _ in
        [
            "/rooms/7\n/rooms\n/rooms/{id}\n/{path...}", "/files/a%2Fb/c\n/files/{first}/c\n/files/{path...}",
            "/a//b\n/a/{x}/b\n/a/{x...}", "/%ff\n/{name}", "/rooms/\n/rooms/{id}\n/rooms/", "/{a...}\n/{a...}\n/{b}",
        ]
        .map { Array($0.utf8) }
    } run: { input in
        let lines = input.lines
        let path = lines.first ?? ""
        // As the request line has it: visible ASCII.
        guard path.hasPrefix("/"), path.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else { return }
        var endpoints: [EndpointConfiguration] = []
        for line in lines.dropFirst().prefix(8) {
            guard let endpoint = try? EndpointConfiguration(.init(path: line), index: endpoints.count) else { continue }
            endpoints.append(endpoint)
        }
        guard let set = try? EndpointSet(endpoints) else { return }
        do throws(Refusal) {
            let match = try set.match(path)
            let fitting = endpoints.filter { Self.fits(path, $0.values.path) }
            guard let match else {
                return check(fitting.isEmpty, "\(path) finds none of \(fitting.map(\.values.path))")
            }
            check(fitting.contains { $0 === match.endpoint }, "\(path) finds \(match.endpoint.values.path)")
            // A path with braces reads like a pattern, which is no literal.
            let literal = path.contains("{") ? nil : endpoints.first { $0.values.path == path }
            check(literal == nil || literal === match.endpoint, "\(path) is written out and not found")
        } catch {
            check(path.contains("%"), "\(path) is refused as no UTF-8")
        }
    }

    /// The rule of a pattern, segment by segment.
    private static func fits(_ path: String, _ pattern: String) -> Bool {
        let given = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        let wanted = pattern.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for (index, segment) in wanted.enumerated() {
            guard index < given.count else { return false }
            if segment.hasSuffix("...}") { return true }
            if segment.hasPrefix("{") ? given[index].isEmpty : given[index] != segment { return false }
        }
        return given.count == wanted.count
    }

    /// The values of a field in which proxies name addresses; the last line is the trusted proxy's.
    static let forwarding = FuzzTarget(name: "forwarding") { _ in
        [
            "203.0.113.9, 192.0.2.7", "for=203.0.113.9;proto=https, for=\"[2001:db8::7]:4711\"", "for=unknown, for=_x",
            "\"a, b\n[::1]:80", "for=\"\nfor=1.2.3.4",
        ]
        .map { Array($0.utf8) }
        .deciding([[0], [1]])
    } run: { input in
        var input = input
        let field = ForwardingField.allCases[input.choice(ForwardingField.allCases.count)]
        let lines = input.lines
        guard let last = lines.last else { return }
        let nodes = field.nodesFromLast([last])
        check(nodes.count <= last.utf8.count + 1, "\(nodes.count) addresses in \(last.utf8.count) bytes")
        // A client's own words stand before the proxy's and change nothing of them.
        check(Array(field.nodesFromLast(lines).prefix(nodes.count)) == nodes, "\(lines) hides \(nodes)")
        for node in nodes.compactMap({ $0 }) {
            check(!node.isEmpty && !node.utf8.contains(0x2C), "\(node.debugDescription) is an address")
        }
    }

    /// The header in which a proxy names its client, ahead of everything.
    static let proxyHeaders = FuzzTarget(name: "proxy-headers") { _ in
        let second: [UInt8] = [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A]
        let address: [UInt8] = [192, 0, 2, 7, 192, 0, 2, 1, 0x1F, 0x90, 0x01, 0xBB]
        return [
            Array("PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\nGET /".utf8), Array("PROXY UNKNOWN\r\n".utf8),
            Array("PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\n".utf8), second + [0x20, 0x00, 0x00, 0x00],
            second + [0x21, 0x11, 0x00, 0x0C] + address + Array("HELLO".utf8),
            second + [0x21, 0x11, 0x00, 0x13] + address + [0x03, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00],
            // A sum that is right, a certificate's name, addresses of sixteen bytes and of Unix domains, and datagrams.
            second + [0x21, 0x11, 0x00, 0x13] + address + [0x03, 0x00, 0x04, 0xAA, 0xDD, 0xAC, 0x46],
            second + [0x21, 0x11, 0x00, 0x1A] + address
                + [0x20, 0x00, 0x0B, 0x03, 0, 0, 0, 0, 0x22, 0x00, 0x03, 0x6A, 0x6F, 0x65],
            second + [0x21, 0x11, 0x00, 0x17] + address + [0x20, 0x00, 0x08, 0x03, 0, 0, 0, 0, 0x21, 0x00, 0x00],
            second + [0x21, 0x11, 0x00, 0x11] + address + [0x20, 0x00, 0x02, 0x02, 0x00],
            second + [0x21, 0x21, 0x00, 0x24] + Array(repeating: 1, count: 36),
            second + [0x21, 0x31, 0x00, 0xD8] + Array(repeating: 0, count: 216), second + [0x21, 0x22, 0x00, 0x00],
            second + [0x21, 0x41, 0x00, 0x00], second + [0x21, 0x13, 0x00, 0x00],
            second + [0x21, 0x11, 0x00, 0x02, 0, 0],
            Array("PROXY TCP4 ::1 ::1 1 2\r\n".utf8), Array("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n".utf8),
            Array("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n".utf8),
            Array(("PROXY UNKNOWN" + String(repeating: "x", count: 100)).utf8),
            Array("PROXY TCP4 1.2.3.4\n".utf8),
        ]
    } run: { input in
        let all = input.content
        var whole = ByteBuffer(bytes: all)
        let result = Result<ProxyHeader?, ProxyHeaderError> { () throws(ProxyHeaderError) in
            try ProxyHeader.read(&whole)
        }
        let taken = all.count - whole.readableBytes
        check(taken <= 16 + 2048, "a header of \(taken) bytes")
        if case .success(let header?) = result {
            let name = header.certificateName ?? "x"
            check(
                name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } && !name.isEmpty,
                "a name of \(name.debugDescription)"
            )
            check(header.client.map { $0.ipAddress != nil } ?? true, "a client without an address")
        }
        if case .success(nil) = result { check(all.count < 16 + 2048, "\(all.count) bytes, and no end") }
        for count in 0..<min(all.count, 2100) {
            var part = ByteBuffer(bytes: all[..<count])
            do throws(ProxyHeaderError) {
                let header = try ProxyHeader.read(&part)
                check((header != nil) == (taken > 0 && count >= taken), "\(count) bytes are not read as all are")
            } catch {
                // Bytes that are wrong stay wrong, however many follow.
                guard case .failure = result else { return check(false, "\(count) bytes are wrong, and all are not") }
            }
        }
    }
}
