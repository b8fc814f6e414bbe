// A service: a path, who may come, and where the bytes go.

package import KHPServer

extension GatewayConfiguration {
    package struct Service: Sendable, Equatable {
        package var name: String
        package var path: PathPattern
        /// The realms that are asked in turn; empty lets everybody in.
        package var realms: [String] = []
        package var require: Requirement?
        package var kind: Kind
        package var rules: Rules
        /// Readiness fails while it has no healthy backend.
        package var isCritical = false
        /// `nil` takes the rule of ``Reload``.
        package var onRemove: OnRemove?
        /// A reload judges open sessions anew.
        package var reauthorizes = false

        package init(name: String, path: PathPattern, kind: Kind, rules: Rules = Rules()) {
            self.name = name
            self.path = path
            self.kind = kind
            self.rules = rules
        }
    }

    package enum Kind: Sendable, Equatable {
        /// A relay to one pool.
        case proxy(pool: String, frames: Frames?)
        /// A relay to the pool of the subprotocol that was agreed on.
        case routed(SubprotocolRoutes)
        case balancer(Balancer)
        /// 302 to a ws, wss, http or https URL.
        case redirect(String)
        case echo
        /// Each message to all clients of the service.
        case broadcast
    }

    /// The kind of messages that bytes of a backend become.
    package enum Frames: String, Sendable, CaseIterable {
        case binary
        case text
        /// As the client's last message.
        case auto

        /// The frames for a subprotocol where the file is silent: STOMP and XMPP are text to their clients.
        package static func usual(for subprotocol: String?) -> Frames {
            switch subprotocol {
            case "v10.stomp", "v11.stomp", "v12.stomp", "xmpp": .text
            default: .binary
            }
        }
    }

    /// The pools of a path by subprotocol.
    package struct SubprotocolRoutes: Sendable, Equatable {
        package struct Route: Sendable, Equatable {
            package var subprotocol: String
            package var pool: String
            package var require: Requirement?
            package var frames: Frames?

            package init(subprotocol: String, pool: String) {
                self.subprotocol = subprotocol
                self.pool = pool
            }
        }

        /// In the order of preference.
        package var routes: [Route] = []
        /// The pool of clients that agreed on none; `nil` refuses them.
        package var withoutSubprotocol: String?

        package init() {}
    }

    /// Names another gateway to each client.
    package struct Balancer: Sendable, Equatable {
        package enum By: String, Sendable, CaseIterable {
            case roundRobin = "round-robin"
            case random
            case sourceHash = "source-hash"
            /// Asks each member how many it has.
            case leastSessions = "least-sessions"
        }

        /// ws or wss URLs.
        package var members: [String] = []
        package var by = By.roundRobin
        package var check: LoadCheck?

        package init() {}
    }

    /// The question to the members of a balancer.
    package struct LoadCheck: Sendable, Equatable {
        /// With `{host}` for the member's host.
        package var url: String
        package var every = Duration.seconds(2)
        /// The token for the members' admin addresses; `nil` sends none.
        package var token: Secret?
        /// PEM authorities for https; `nil` takes the system's.
        package var ca: String?

        package init(url: String) {
            self.url = url
        }

        /// The address to ask for the load of a member.
        package func url(for host: String) -> String {
            let name = host.contains(":") && !host.hasPrefix("[") ? "[\(host)]" : host
            return self.url.split(separator: "{host}", omittingEmptySubsequences: false).joined(separator: name)
        }
    }

    /// The condition on a principal: one of the roles, all of the claims, one of the names, one of the networks. A part
    /// that is empty asks for nothing.
    package struct Requirement: Sendable, Equatable {
        package var roles: [String] = []
        package var claims: [Claim] = []
        package var principals: [String] = []
        /// The networks of the client's address, as trusted proxies name it.
        package var networks: [AddressRange] = []

        package init() {}
    }

    /// A claim and the value that it must have.
    package struct Claim: Sendable, Hashable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }
}
