// The variables of this process's environment, for clients that take their proxies from there.

public import KHPProtocol

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

extension ProxySelection {
    /// The selection of this process's environment, as it is now: see ``ProxySelection/environment(_:)``.
    public static var environment: ProxySelection {
        var variables: [String: String] = [:]
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            for name in [name, name.uppercased()] { variables[name] = Self.variable(name) }
        }
        variables["REQUEST_METHOD"] = Self.variable("REQUEST_METHOD")
        return .environment(variables)
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}
