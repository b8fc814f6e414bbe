// The names of a configuration and the listeners of its services, looked up once for all checks: their work grows with
// the file, and not with its services times its listeners.

import KHPProtocol

/// The names of one section of the file.
struct KnownNames {
    /// In the order of the file.
    let all: [String]
    private let numbers: [String: Int]

    init(_ all: [String]) {
        self.all = all
        self.numbers = Dictionary(zip(all, all.indices)) { first, _ in first }
    }

    /// The place of a name among ``all``; `nil` where it is none of them.
    func number(of name: String) -> Int? { self.numbers[name] }

    func contains(_ name: String) -> Bool { self.numbers[name] != nil }
}

/// Listeners as the checks of a service look at them.
struct ServiceDoors {
    /// Their places in the configuration, in its order.
    let numbers: [Int]
    /// The first that other hosts reach.
    private(set) var open: Configuration.Listener?
    /// The first that other hosts reach and that has no TLS, nor a proxy with TLS before it.
    private(set) var plain: Configuration.Listener?
    /// The listeners at which no certificate comes to light.
    private(set) var withoutCertificates: [Configuration.Listener] = []
    /// The listeners at which not even a certificate's common name does, by the word of a proxy.
    private(set) var withoutNames: [Configuration.Listener] = []
    /// Set where there are listeners, and clients have addresses at none of them.
    let areWithoutAddresses: Bool

    init(_ numbers: [Int], of listeners: [Configuration.Listener]) {
        self.numbers = numbers
        self.areWithoutAddresses = !numbers.isEmpty && numbers.allSatisfy { !listeners[$0].knowsAddresses }
        for number in numbers {
            let listener = listeners[number]
            if !listener.listen.isLocal {
                if self.open == nil { self.open = listener }
                if self.plain == nil, listener.tls == nil, !(listener.publicURL ?? "").hasPrefix("wss:") {
                    self.plain = listener
                }
            }
            guard !listener.asksForCertificates else { continue }
            self.withoutCertificates.append(listener)
            if !listener.trustsClientName { self.withoutNames.append(listener) }
        }
    }
}

/// The listeners that lead to each service: to most services, those of the defaults.
struct ServicePlaces {
    /// The doors of the services that name no listeners of their own.
    let usual: ServiceDoors
    private let usualNumbers: Set<Int>
    private let usualNames: [String]?
    private let usualOrigins: Set<String>
    private let listeners: [Configuration.Listener]
    private let names: KnownNames
    /// The origin of each listener, by its public URL.
    private let origins: [String?]

    init(_ configuration: Configuration, names: KnownNames) {
        let listeners = configuration.listeners
        let usualNames = configuration.defaults.listeners
        let numbers = Self.numbers(usualNames, names)
        let origins = listeners.map { listener in
            listener.publicURL.flatMap { try? WebSocketURL($0).origin }
        }
        self.listeners = listeners
        self.names = names
        self.origins = origins
        self.usual = ServiceDoors(numbers, of: listeners)
        self.usualNumbers = Set(numbers)
        self.usualNames = usualNames
        self.usualOrigins = Set(numbers.compactMap { origins[$0] })
    }

    private static func numbers(_ names: [String]?, _ known: KnownNames) -> [Int] {
        guard let names else { return Array(known.all.indices) }
        return Set(names.compactMap { known.number(of: $0) }).sorted()
    }

    /// True for a service at the listeners of the defaults. Two lists that are one in memory are not compared any further.
    func isUsual(_ service: Configuration.Service) -> Bool { service.rules.listeners == self.usualNames }

    /// True for a listener of the defaults.
    func isUsual(_ listener: Int) -> Bool { self.usualNumbers.contains(listener) }

    /// The places of a service's listeners in the configuration, in its order.
    func numbers(of service: Configuration.Service) -> [Int] {
        self.isUsual(service) ? self.usual.numbers : Self.numbers(service.rules.listeners, self.names)
    }

    func doors(of service: Configuration.Service) -> ServiceDoors {
        self.isUsual(service) ? self.usual : ServiceDoors(self.numbers(of: service), of: self.listeners)
    }

    /// The origins by which clients name a service's listeners.
    func origins(of service: Configuration.Service) -> Set<String> {
        self.isUsual(service) ? self.usualOrigins : Set(self.numbers(of: service).compactMap { self.origins[$0] })
    }
}

extension GatewayConfiguration.Listener {
    /// True where a client's certificate can come to light.
    fileprivate var asksForCertificates: Bool {
        guard let tls else { return false }
        return tls.clientAuthentication != .none
    }
}
