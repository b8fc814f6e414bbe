// Every bound that a peer can run into has a name, a default and a reason, in one place.
//
// Nothing that a peer sends may grow without an end: bytes, counts and waits are all bounded by a member of
// ``Limits`` (a user may change it: the limits of a client, of a server and of an endpoint are turned into it) or of
// ``Limits/Fixed`` (it belongs to the protocol's safety and stays).

package import NIOCore

/// Bounds on what a peer may make this end hold or count. What takes its time is bounded by ``Timeouts``.
///
/// Sizes are bytes; the defaults suit a server on the open internet. A limit that is reached ends the handshake with a
/// readable refusal, or the open connection with close code 1008 (policy) or 1009 (message too big).
package struct Limits: Sendable, Hashable {
    // MARK: Heads and bodies

    /// Longest line of an HTTP head in bytes, the request line included. 8 KiB is what nginx, Netty and others take.
    package var lineBytes = 8 * 1024

    /// Largest HTTP head on the wire in bytes. Room for long cookies and a few authorization fields.
    package var headBytes = 32 * 1024

    /// Most headers in one head. Browsers send about twenty.
    package var headerCount = 100

    /// Largest HTTP head inside WebSocket messages (the extended handshake) in bytes. It carries no cookies, so less.
    package var extendedHeadBytes = 16 * 1024

    /// Largest body in bytes that is kept of an HTTP request or response in either handshake. An explanation for a
    /// person or a list of choices fits; a download does not.
    package var bodyBytes = 64 * 1024

    // MARK: Handshakes

    /// Most challenges that a client answers in one connect. One for each layer and one mistyped password.
    package var challengeRounds = 4

    /// Wrong answers to a challenge that a server takes on one connection before it answers 403. Slows guessing.
    package var wrongAnswers = 3

    // MARK: Open connections

    /// The bounds on the messages of one direction of an open connection.
    package var messages = MessageLimits()

    /// Received messages that wait for the application before reading stops.
    package var inboundQueueMessages = 64

    /// Bytes of received messages that wait for the application before reading stops.
    package var inboundQueueBytes = 1024 * 1024

    /// Bytes waiting to be written from which on `send` suspends. Beyond a round trip's worth more does not help.
    package var sendBufferHighMark = 64 * 1024

    /// Bytes waiting to be written at which suspended sends go on.
    package var sendBufferLowMark = 32 * 1024

    /// The default limits.
    package init() {}
}

/// Bounds on the messages and frames of one direction of an open connection.
public struct MessageLimits: Sendable, Hashable {
    /// Largest message in bytes, all its fragments together; more ends the connection with close code 1009. A frame
    /// can be as large as a message. Checked against a frame's declared length before anything is reserved.
    public var messageBytes = 1024 * 1024

    /// Most fragments of one message, empty ones included; more ends the connection with close code 1008. A peer that
    /// streams in pieces of 1 KiB fits the default message size.
    public var fragments = 1024

    /// Control frames (ping, pong, close) that may come at once before the rate counts.
    public var controlFrameBurst = 100

    /// Control frames per second that may come in the long run; more ends the connection with close code 1008.
    public var controlFramesPerSecond = 20

    /// The default limits.
    public init() {}
}

extension Limits {
    /// Bounds that follow from the protocol. There is no reason to change them.
    package enum Fixed {
        /// WebSocket messages that one extended request or response may be split into.
        package static let extendedMessages = 16

        /// Fragments of one message during the extended handshake.
        package static let extendedFragments = 64

        /// Addresses whose wrong answers are counted at a time; beyond that the longest known is forgotten.
        package static let guessingAddresses = 65_536

        /// Addresses of one host that are dialled at the same time; the next waits until one of them fails. A server
        /// that redirects may choose a name with thousands.
        package static let racingAddresses = 8

        /// Connections beyond a server's limit that get an answer at a time; more are closed without one. Each
        /// lasts a second at most.
        package static let turnedAway = 64

        /// Provisional responses (1xx other than 101) that are skipped before a final one. A response may have any
        /// number of them (RFC 9110 section 15.2); servers send one or two, and a proxy on the way perhaps one more.
        package static let provisionalResponses = 8

        /// Bytes of the heads of a proxy's answer to CONNECT, those of provisional responses among them, where
        /// ``Limits/headBytes`` is not less. Proxies send some hundreds; there is room for challenges with long tokens.
        package static let proxyHeadBytes = 16 * 1024

        /// Bytes that are kept of the content of a proxy's refusal, where ``Limits/bodyBytes`` is not less: a page for
        /// people. Behind more than that a connection is not used again.
        package static let proxyContentBytes = 16 * 1024

        /// How long the content of an answer that refuses is waited for once its head is complete (D28). Such content
        /// explains to people; an answer is never lost because that does not end.
        package static let contentWait: TimeAmount = .seconds(2)

        /// How long content that was announced with Expect is held back while the server says nothing: servers that do
        /// not know the field wait for it (RFC 9110 section 10.1.1).
        package static let continueWait: TimeAmount = .seconds(1)

        /// 202 responses before the final one, sent or taken.
        package static let processingResponses = 3

        /// Balancer messages of one extended handshake: one before the request and one behind the answer in the Kaazing
        /// legacy exchange; without it deployed gateways send one all the same (threat E15).
        package static let balancerMessages = 2

        /// Heads in a row in one response of the Kaazing legacy exchange: an envelope and what is in it, twice over.
        package static let legacyHeads = 4

        /// Connections in CONNECTING state, of one client and over all names, where a proxy resolves the names: RFC
        /// 6455 section 4.1 asks for a reasonably low number (D38).
        package static let connectsThroughProxies = 32

        /// How long one address of a host is tried alone; then the next one is tried as well (RFC 8305 section 5).
        package static let connectionAttemptDelay = TimeAmount.milliseconds(250)

        // TCP's own keep-alive. A peer that has vanished is noticed after two minutes, where neither pings nor writes
        // notice it earlier.

        /// Silence before TCP probes a peer.
        package static let keepAliveIdleSeconds = 60

        /// Seconds between two probes.
        package static let keepAliveIntervalSeconds = 15

        /// Probes without an answer that end a connection.
        package static let keepAliveProbes = 4

        /// Bytes of a control frame's payload (RFC 6455 section 5.5).
        package static let controlPayloadBytes = 125

        /// Bytes of a close frame's reason: a control payload less the two of the code.
        package static let closeReasonBytes = controlPayloadBytes - 2

        /// Pings without an answer that are remembered; a pong for a later one answers the earlier ones too.
        package static let outstandingPings = 64

        /// Bytes of a base-128 length in the hixie dialects: 63 bits.
        package static let hixieLengthBytes = 9

        /// Bytes of the head of a 101 in the dialects before RFC 6455, which has a handful of fields.
        package static let hixieHeadBytes = 8 * 1024
    }

    /// The same limits, none of them negative, and none so large that two cannot be added: whatever a user has set, the
    /// machines may count with them (threat H1).
    package var bounded: Limits {
        var limits = self
        func bound(_ size: inout Int) { size = min(max(size, 0), Int.max / 4) }
        bound(&limits.lineBytes)
        bound(&limits.headBytes)
        bound(&limits.headerCount)
        bound(&limits.extendedHeadBytes)
        bound(&limits.bodyBytes)
        bound(&limits.challengeRounds)
        bound(&limits.wrongAnswers)
        bound(&limits.messages.messageBytes)
        bound(&limits.messages.fragments)
        bound(&limits.messages.controlFrameBurst)
        bound(&limits.messages.controlFramesPerSecond)
        bound(&limits.inboundQueueMessages)
        bound(&limits.inboundQueueBytes)
        bound(&limits.sendBufferHighMark)
        bound(&limits.sendBufferLowMark)
        return limits
    }

    /// The marks of what waits to be written, as SwiftNIO insists on them: from 1 on, and the low one no higher than the
    /// other.
    package var writeMarks: (low: Int, high: Int) {
        let high = min(max(self.sendBufferHighMark, 1), Int.max / 4)
        return (min(max(self.sendBufferLowMark, 1), high), high)
    }

    /// The message bounds that hold until the extended handshake has completed.
    package static let extendedHandshakeMessages: MessageLimits = {
        var limits = MessageLimits()
        let defaults = Limits()
        limits.messageBytes = defaults.extendedHeadBytes + defaults.bodyBytes
        limits.fragments = Fixed.extendedFragments
        return limits
    }()
}
