/// Which proxy a client connects through, decided anew for each hop: a redirect to another server may lead through
/// another proxy, or through none.
public struct ProxySelection: Sendable {
    private let choose: @Sendable (WebSocketURL) throws(WebSocketError) -> Proxy?

    /// Whatever `choose` returns for the URL of a hop; nil connects directly.
    public init(_ choose: @escaping @Sendable (_ url: WebSocketURL) -> Proxy?) {
        self.choose = { url throws(WebSocketError) in choose(url) }
    }

    private init(checked choose: @escaping @Sendable (WebSocketURL) throws(WebSocketError) -> Proxy?) {
        self.choose = choose
    }

    /// This selection with user and password for each proxy that it chooses, in the place of those that the proxy's URL
    /// holds.
    ///
    /// ``proxy(for:)`` throws where the proxy cannot carry them.
    public func authenticated(user: String, password: String) -> ProxySelection {
        ProxySelection(checked: { url throws(WebSocketError) in
            guard let proxy = try self.choose(url) else { return nil }
            return try proxy.authenticated(user: user, password: password)
        })
    }

    /// No proxy.
    public static let direct = ProxySelection { _ in nil }

    /// One proxy for every server but those of `except`, which is written as `no_proxy` is: hosts and domains, with or
    /// without a port, addresses, blocks such as `10.0.0.0/8`, or `*`, separated by commas.
    public static func proxy(_ proxy: Proxy, except: String = "") -> ProxySelection {
        let rules = NoProxyRules(except)
        return ProxySelection { rules.excepts($0) ? nil : proxy }
    }

    /// The selection of the environment's variables: `https_proxy` for wss, `http_proxy` for ws, `all_proxy` where that
    /// is missing, and `no_proxy`. Each is looked up in lower case first, then in upper case.
    ///
    /// `HTTP_PROXY` in upper case is ignored where `REQUEST_METHOD` is set: under CGI a client could have set it with a
    /// field of its request. A variable that is set and empty means no proxy.
    /// ``proxy(for:)`` throws where the value is no proxy.
    public static func environment(_ variables: [String: String]) -> ProxySelection {
        let rules = NoProxyRules(variables["no_proxy"] ?? variables["NO_PROXY"] ?? "")
        return ProxySelection(checked: { url throws(WebSocketError) in
            var names = url.isSecure ? ["https_proxy", "HTTPS_PROXY"] : ["http_proxy", "HTTP_PROXY"]
            if !url.isSecure, variables["REQUEST_METHOD"] != nil { names.removeLast() }
            names += ["all_proxy", "ALL_PROXY"]
            for name in names {
                guard let value = variables[name] else { continue }
                if value.isEmpty || rules.excepts(url) { return nil }
                do throws(WebSocketError) {
                    return try Proxy(value)
                } catch {
                    var error = error
                    error.message = "The variable \(name) of the environment is not usable. \(error.message)"
                    throw error
                }
            }
            return nil
        })
    }

    /// The proxy for the server of `url`; nil when it is connected to directly.
    ///
    /// - Throws: ``WebSocketError/Code/invalidArgument`` when a variable of the environment holds no proxy.
    public func proxy(for url: WebSocketURL) throws(WebSocketError) -> Proxy? {
        try self.choose(url)
    }
}
