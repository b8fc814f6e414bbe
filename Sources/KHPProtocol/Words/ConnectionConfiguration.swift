// The settings of a connection, prepared once for a client, a listener or an endpoint and shared by all its connections:
// a copy for each would take more room than an open connection needs for itself.

package import NIOCore

/// The events that a connection tells of.
package enum Observation: Sendable {
    case nothing
    /// All but frames, for which each message would have to leave the plain path.
    case steps
    case everything
}

/// The settings of a connection, to be filled in and prepared by ``ConnectionConfiguration/init(_:)``.
package struct ConnectionSettings: Sendable {
    package var limits = Limits()
    package var timeouts = Timeouts()
    package var keepAlive = KeepAliveConfiguration()
    package var delivery = MessageDelivery.messages
    /// The `event` actions that are wanted.
    package var observation = Observation.nothing
    /// Server: the value of Date, now.
    package var date: @Sendable () -> String = { "Thu, 01 Jan 1970 00:00:00 GMT" }
    /// Server: the value of Server.
    package var serverName = "swift-khp"
    /// Server: all dialects that some endpoint speaks.
    package var dialects: [Dialect] = [.rfc6455]
    /// Server: tells its own requests from those that somebody else behind the same port answers; `nil` where all are
    /// its own.
    package var isOwn: (@Sendable (RequestHead) -> Bool)?

    package init() {}
}

/// ``ConnectionSettings`` as connections read them.
package final class ConnectionConfiguration: Sendable {
    package let limits: Limits
    package let timeouts: Timeouts
    let waits: Waits
    package let delivery: MessageDelivery
    /// True where any events are wanted.
    package let isObserved: Bool
    /// True where events of frames are wanted too.
    package let observesFrames: Bool
    let date: @Sendable () -> String
    let serverName: String
    let dialects: [Dialect]
    let isOwn: (@Sendable (RequestHead) -> Bool)?
    private let settings: ConnectionSettings

    package init(_ settings: ConnectionSettings = ConnectionSettings()) {
        self.settings = settings
        self.waits = Waits(settings.timeouts, settings.keepAlive)
        self.limits = settings.limits.bounded
        self.timeouts = settings.timeouts
        self.delivery = settings.delivery
        self.isObserved = settings.observation != .nothing
        self.observesFrames = settings.observation == .everything
        self.date = settings.date
        self.serverName = settings.serverName
        self.dialects = settings.dialects
        self.isOwn = settings.isOwn
    }

    /// How near a deadline of an open socket without extensions is ever set, while it neither closes nor stalls.
    package var shortestWait: TimeAmount { self.waits.shortest }

    package var keepAlive: KeepAliveConfiguration { self.settings.keepAlive }

    /// `true` where some endpoint speaks a dialect before RFC 6455.
    package var speaksOldDialects: Bool { self.dialects.contains { $0 != .rfc6455 } }

    /// This configuration with an endpoint's own bounds and delivery; itself where those are the same.
    package func with(
        limits: Limits? = nil,
        timeouts: Timeouts? = nil,
        keepAlive: KeepAliveConfiguration? = nil,
        delivery: MessageDelivery
    ) -> ConnectionConfiguration {
        guard limits != nil || timeouts != nil || keepAlive != nil || delivery != self.delivery else { return self }
        var settings = self.settings
        if let limits { settings.limits = limits }
        if let timeouts { settings.timeouts = timeouts }
        if let keepAlive { settings.keepAlive = keepAlive }
        settings.delivery = delivery
        return ConnectionConfiguration(settings)
    }
}
