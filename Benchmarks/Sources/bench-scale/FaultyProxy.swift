// A TCP proxy that does to connections what networks do to them.

import NIOCore
import NIOPosix

/// The fate of the bytes of one direction of a connection. About half of all connections pass as they are.
enum WireFault {
    case none
    /// Each read goes on in pieces of at most so many bytes, each in a write of its own.
    case split(Int)
    /// Each read waits before it goes on.
    case delay(TimeAmount)
    /// Nothing goes on for this long, once so many bytes have; `nil` is for good.
    case stall(after: Int, TimeAmount?)
    /// Both streams end in order, in the middle of whatever it is, once so many bytes have gone on.
    case cut(after: Int)
    /// Both connections are reset.
    case reset(after: Int)
    /// This direction ends; the other goes on.
    case halfClose(after: Int)

    static func random(using generator: inout some RandomNumberGenerator) -> WireFault {
        // From within the opening's head to some messages later.
        let bytes = Int.random(in: 0...20_000, using: &generator)
        switch Int.random(in: 0..<100, using: &generator) {
        case ..<75: return .none
        case ..<81: return .split(Int.random(in: 1...64, using: &generator))
        case ..<88: return .delay(.milliseconds(Int64.random(in: 1...80, using: &generator)))
        case ..<91: return .stall(after: bytes, .milliseconds(Int64.random(in: 500...8_000, using: &generator)))
        case ..<92: return .stall(after: bytes, nil)
        case ..<95: return .cut(after: bytes)
        case ..<98: return .reset(after: bytes)
        default: return .halfClose(after: bytes)
        }
    }
}

enum FaultyProxy {
    /// The loopback addresses that it listens at: a client opens one connection at a time to each (RFC 6455 section 4.1), and
    /// one that is stalled keeps the next waiting. Other systems than Linux have the first alone.
    #if os(Linux)
        static let addresses = 64
    #else
        static let addresses = 1
    #endif

    static func address(_ number: Int) -> String { "127.0.0.\(1 + number % Self.addresses)" }

    static func run(_ options: Options) async throws {
        let faults = FaultSource(seed: options.seed)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4_096)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { near in Self.connect(near, to: options.target, faults: faults) }
        let listener = try await bootstrap.bind(host: Self.address(0), port: options.port).get()
        let port = listener.localAddress?.port ?? 0
        for number in 1..<max(Self.addresses, 1) {
            _ = try await bootstrap.bind(host: Self.address(number), port: port).get()
        }
        BenchScale.say("listening \(port)")
        try await listener.closeFuture.get()
    }

    private static func connect(_ near: any Channel, to port: Int, faults: FaultSource) -> EventLoopFuture<Void> {
        ClientBootstrap(group: near.eventLoop)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.autoRead, value: false)
            .connect(host: "127.0.0.1", port: port)
            .flatMap { far in
                let (up, down) = (faults.next(), faults.next())
                return near.eventLoop.makeCompletedFuture {
                    try near.pipeline.syncOperations.addHandler(Direction(to: far, up))
                    try far.pipeline.syncOperations.addHandler(Direction(to: near, down))
                }
                .map { far.read() }
            }
            .flatMapError { error in
                near.close(promise: nil)
                return near.eventLoop.makeFailedFuture(error)
            }
    }
}

/// Unchecked: used on the proxy's one event loop only.
private final class FaultSource: @unchecked Sendable {
    private var generator: SplitMix

    init(seed: UInt64) { self.generator = SplitMix(state: seed) }

    func next() -> WireFault { .random(using: &self.generator) }
}

/// The generator of Steele, Lea and Flood (2014): small, and the same numbers for a seed everywhere.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Reads from its own channel and writes to the other, one read at a time. Unchecked: touched on the event loop only.
private final class Direction: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer

    private let other: any Channel
    private let fault: WireFault
    /// Bytes that have come and not gone on: SwiftNIO reads all that is left when the peer's stream has ended, asked or not.
    private var waiting = CircularBuffer<Piece>()
    private var isBusy = false
    private var passed = 0

    private enum Piece {
        case bytes(ByteBuffer)
        case end
    }

    init(to other: any Channel, _ fault: WireFault) {
        self.other = other
        self.fault = fault
    }

    func channelActive(context: ChannelHandlerContext) { context.read() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.waiting.append(.bytes(Self.unwrapInboundIn(data)))
        self.next(context.channel)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event as? ChannelEvent == .inputClosed else { return }
        self.waiting.append(.end)
        self.next(context.channel)
    }

    func channelInactive(context: ChannelHandlerContext) { self.other.close(promise: nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { self.end(context.channel) }

    private func next(_ channel: any Channel) {
        guard !self.isBusy, let piece = self.waiting.popFirst() else { return }
        self.isBusy = true
        switch piece {
        case .bytes(let bytes): self.treat(bytes, from: channel)
        case .end: self.other.close(mode: .output, promise: nil)
        }
    }

    private func treat(_ bytes: ByteBuffer, from channel: any Channel) {
        let after = self.passed + bytes.readableBytes
        switch self.fault {
        case .delay(let time): self.pass(bytes, from: channel, in: time)
        case .stall(let limit, let time) where self.passed < limit && after >= limit:
            if let time { self.pass(bytes, from: channel, in: time) }
        case .cut(let limit) where after > limit:
            let rest = bytes.getSlice(at: bytes.readerIndex, length: limit - self.passed) ?? ByteBuffer()
            self.other.writeAndFlush(rest).whenComplete { _ in self.end(channel) }
        case .reset(let limit) where after > limit:
            for end in [channel, self.other] {
                _ = (end as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
            }
            self.end(channel)
        case .halfClose(let limit) where after > limit: self.other.close(mode: .output, promise: nil)
        default: self.pass(bytes, from: channel)
        }
    }

    private func pass(_ bytes: ByteBuffer, from channel: any Channel, in time: TimeAmount) {
        channel.eventLoop.assumeIsolated().scheduleTask(in: time) { self.pass(bytes, from: channel) }
    }

    /// Writes to the other channel; what comes next follows once the bytes are in its socket.
    private func pass(_ bytes: ByteBuffer, from channel: any Channel) {
        self.passed += bytes.readableBytes
        var rest = bytes
        if case .split(let size) = self.fault {
            while rest.readableBytes > size, let piece = rest.readSlice(length: size) {
                self.other.writeAndFlush(piece, promise: nil)
            }
        }
        self.other.writeAndFlush(rest).whenComplete { _ in
            self.isBusy = false
            self.next(channel)
            if !self.isBusy { channel.read() }
        }
    }

    private func end(_ channel: any Channel) {
        channel.close(promise: nil)
        self.other.close(promise: nil)
    }
}
