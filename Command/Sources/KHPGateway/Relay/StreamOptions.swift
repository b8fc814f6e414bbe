// The options of a byte stream's channel, whoever has connected it: read on demand, in pieces of a bounded size, and with TCP's
// own way to notice a peer that has vanished.

import NIOCore

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

enum StreamOptions {
    /// The bytes that the system keeps of a peer that is not read: bounded, and enough for one that is near.
    private static let receiveBuffer = 256 * 1024

    /// The size of a channel's first read.
    static let firstRead = 2048
    /// How often a channel reads in a turn: as many buffers its pool keeps.
    static let reads: UInt = 2

    static var readSizes: AdaptiveRecvByteBufferAllocator {
        AdaptiveRecvByteBufferAllocator(minimum: 1024, initial: Self.firstRead, maximum: OutgoingFrames.most)
    }

    /// Leaves a channel's pool no place beside its first buffer.
    static func readApart(_ options: any NIOSynchronousChannelOptions) throws {
        try options.setOption(.maxMessagesPerRead, value: 1)
    }

    /// Has a channel read into the buffers of its pool, small ones first.
    static func readPooled(_ options: any NIOSynchronousChannelOptions) throws {
        try options.setOption(.maxMessagesPerRead, value: Self.reads)
        try options.setOption(.recvAllocator, value: Self.readSizes)
    }

    /// Sets them, before the channel's first event.
    /// - Parameter readsAtOnce: TLS has to read before anybody asks.
    static func set(
        on channel: any Channel,
        _ rules: GatewayConfiguration.Relay,
        isTCP: Bool,
        readsAtOnce: Bool = false
    ) throws {
        guard let options = channel.syncOptions else { return }
        try options.setOption(.allowRemoteHalfClosure, value: true)
        try options.setOption(.autoRead, value: readsAtOnce)
        try options.setOption(.maxMessagesPerRead, value: Self.reads)
        try options.setOption(.recvAllocator, value: Self.readSizes)
        try options.setOption(.writeBufferWaterMark, value: .init(low: max(rules.buffer / 2, 1), high: rules.buffer))
        guard isTCP else { return }
        try options.setOption(.tcpOption(.tcp_nodelay), value: 1)
        try options.setOption(.socketOption(.so_rcvbuf), value: .init(Self.receiveBuffer))
        try options.setOption(.socketOption(.so_keepalive), value: 1)
        for (name, value) in Self.probes(stalled: TimeAmount(rules.stalled)) {
            try options.setOption(.tcpOption(.init(rawValue: name)), value: .init(value))
        }
    }

    /// Probes after a minute of silence, and an end where written bytes are not acknowledged. The system knows of bytes that the
    /// relay has handed on; where the relay waits too, the relay is to be first, as it knows the reason.
    private static func probes(stalled: TimeAmount) -> [(name: CInt, value: Int)] {
        var options: [(name: CInt, value: Int)] = [(TCP_KEEPINTVL, 10), (TCP_KEEPCNT, 3)]
        #if os(Linux)
            options.append((TCP_KEEPIDLE, 60))
            // In milliseconds, of which the kernel counts 31 bits.
            let milliseconds = min(stalled.nanoseconds / 1_000_000 / 2 * 3, Int64(Int32.max))
            options.append((TCP_USER_TIMEOUT, Int(max(milliseconds, 1000))))
        #elseif canImport(Darwin)
            options.append((TCP_KEEPALIVE, 60))
        #endif
        return options
    }
}
