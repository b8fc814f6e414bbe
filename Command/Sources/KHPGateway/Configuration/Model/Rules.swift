// The rules of a service that `defaults` may set for all: a service begins with those and says what differs.

package import KHPProtocol

extension GatewayConfiguration {
    package struct Rules: Sendable, Equatable {
        /// The names of the listeners; `nil` takes all.
        package var listeners: [String]?
        package var origins = Origins()
        package var handshake = Handshake()
        package var lifetime = Lifetime()
        package var relay = Relay()
        package var limits = Limits()

        package init() {}
    }

    /// The pages that may open sessions.
    package struct Origins: Sendable, Equatable {
        /// `nil` lets in pages of the same host; empty, none.
        package var allowed: [OriginRule]?
        /// Refuses requests without an Origin field, which programs do not send.
        package var isRequired = false

        package init() {}
    }

    package struct Handshake: Sendable, Equatable {
        package enum Extended: String, Sendable, CaseIterable {
            case off
            case optional
            case required
        }

        package var extended = Extended.optional
        package var dialects: [Dialect] = [.rfc6455]
        /// Offers permessage-deflate.
        package var compresses = false
        package var speaksKaazingLegacy = true

        package init() {}
    }

    package struct Lifetime: Sendable, Equatable {
        /// `nil` sends none.
        package var ping: Ping? = Ping()
        /// No message either way for so long ends the session; `nil` never.
        package var idle: Duration?
        /// `nil` has no bound.
        package var maximum: Duration?

        package init() {}
    }

    package struct Ping: Sendable, Equatable {
        package var every = Duration.seconds(20)
        /// The time that an answer may take.
        package var timeout = Duration.seconds(20)

        package init() {}
    }

    package struct Relay: Sendable, Equatable {
        /// Bytes for each direction: the fast side is not read above it, and again below half of it.
        package var buffer = 65_536
        /// A side that takes nothing for so long is ended.
        package var stalled = Duration.seconds(30)
        /// The time that a backend may go on after its client has closed.
        package var halfClose = Duration.seconds(2)

        package init() {}
    }

    package struct Limits: Sendable, Equatable {
        /// `nil` has no bound, here and below.
        package var sessions: Int? = 10_000
        package var perAddress: Int? = 200
        package var perPrincipal: Int? = 20
        package var acceptRate: Rate? = Rate(count: 500, seconds: 1)
        /// The largest message in bytes: of a client, and of a backend that speaks WebSocket.
        package var message = 1_048_576

        package init() {}

        /// The limits of messages for the library. A peer that sends fragments of 1 KiB can send the largest message.
        var messages: MessageLimits {
            var limits = MessageLimits()
            limits.messageBytes = self.message
            limits.fragments = max(limits.fragments, self.message / 1024)
            return limits
        }
    }
}
