import ArgumentParser

/// The action of a path of `khp serve`: one `--route PATH=ACTION`.
struct Route: Sendable, Equatable {
    enum Action: Sendable, Equatable {
        case echo
        case broadcast
        case chat
        case redirect(status: Int, to: String)
        case status(Int, body: String?)
        case choices([String])
        case relay(host: String, port: Int)
    }

    var path: String
    var action: Action

    init(path: String, action: Action) {
        self.path = path
        self.action = action
    }

    init(argument: String) throws {
        guard argument.hasPrefix("/"), let equals = argument.firstIndex(of: "=") else {
            throw ValidationError("a route is PATH=ACTION with a path that begins with `/`")
        }
        guard let action = Self.action(argument[argument.index(after: equals)...]) else {
            throw ValidationError(
                "it names no action; there are echo, broadcast, chat, redirect:[CODE:]URL, status:CODE[:BODY], "
                    + "choices:URL,URL and tcp:HOST:PORT"
            )
        }
        let path = argument[..<equals]
        guard Self.isPath(path) else {
            throw ValidationError("no request has the path `\(path)`: it holds no blank, `?` or `#`")
        }
        self.init(path: String(path), action: action)
    }

    /// True where requests can have this path: it begins with a slash, and no query and no fragment ends it.
    static func isPath(_ text: some StringProtocol) -> Bool {
        text.hasPrefix("/") && self.isPartOfURL(text) && !text.contains(where: { $0 == "?" || $0 == "#" })
    }

    /// True where the text can stand in a URL as it is: visible ASCII (RFC 3986 section 2).
    private static func isPartOfURL(_ text: some StringProtocol) -> Bool {
        text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    private static func action(_ text: Substring) -> Action? {
        let colon = text.firstIndex(of: ":")
        let argument = colon.map { String(text[text.index(after: $0)...]) } ?? ""
        return switch colon.map({ text[..<$0] }) ?? text {
        case "echo" where colon == nil: .echo
        case "broadcast" where colon == nil: .broadcast
        case "chat" where colon == nil: .chat
        case "redirect": self.redirect(argument)
        case "status": self.status(argument)
        case "choices": self.choices(argument)
        case "tcp": self.relay(argument)
        default: nil
        }
    }

    private static func redirect(_ text: String) -> Action? {
        guard let colon = text.firstIndex(of: ":"), text[..<colon].count == 3, let status = Int(text[..<colon]) else {
            return text.isEmpty || !self.isPartOfURL(text) ? nil : .redirect(status: 302, to: text)
        }
        let target = String(text[text.index(after: colon)...])
        guard [300, 301, 302, 303, 307, 308].contains(status), !target.isEmpty, self.isPartOfURL(target) else {
            return nil
        }
        return .redirect(status: status, to: target)
    }

    private static func status(_ text: String) -> Action? {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, first.count == 3, let code = Int(first), (100...999).contains(code) else {
            return nil
        }
        return .status(code, body: parts.count > 1 ? String(parts[1]) : nil)
    }

    private static func choices(_ text: String) -> Action? {
        let urls = text.split(separator: ",").map { String($0.trimmingSpaces()) }.filter { !$0.isEmpty }
        return urls.isEmpty || !urls.allSatisfy(self.isPartOfURL) ? nil : .choices(urls)
    }

    private static func relay(_ text: String) -> Action? {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (1...65535).contains(port)
        else { return nil }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        return host.isEmpty ? nil : .relay(host: host, port: port)
    }
}
