// Many connections of a load on one event loop.

import NIOCore
import NIOPosix

/// Unchecked: touched on its event loop only, but for the calls that wait for it.
final class Fleet: WireLoad, @unchecked Sendable {
    /// Connects that are under way at the same time.
    private static let width = 64
    /// The connections come from so many addresses of this machine, in turn.
    #if os(Linux)
        private static let addresses = 8
    #else
        // Elsewhere the loopback has one, where nobody has added more.
        private static let addresses = 1
    #endif

    private let eventLoop: any EventLoop
    private let port: Int
    private(set) var open: [WireClient] = []
    private var ends: [WireEnd] = []
    private var wanted = 0
    private var connecting = 0
    private var awaited = 0
    private var waiting: EventLoopPromise<Void>?
    private var ending: EventLoopPromise<[WireEnd]>?
    /// Called with the latency of each echo, from when its message was due.
    var measured: ((TimeAmount) -> Void)?

    init(port: Int, on eventLoop: any EventLoop) {
        self.port = port
        self.eventLoop = eventLoop
    }

    // MARK: Called from elsewhere; each waits

    /// Opens connections until there are so many.
    /// - Throws: where one is refused or lost.
    func grow(to count: Int) throws {
        try self.eventLoop.flatSubmit {
            self.wanted = count
            let promise = self.eventLoop.makePromise(of: Void.self)
            self.waiting = promise
            for _ in 0..<Self.width { self.connectNext() }
            self.settle()
            return promise.futureResult
        }
        .wait()
    }

    /// Sends a message on each connection and waits for all echoes.
    func echoOnAll() throws {
        try self.eventLoop.flatSubmit {
            let promise = self.eventLoop.makePromise(of: Void.self)
            self.awaited = self.open.count
            self.waiting = promise
            for client in self.open { client.send(due: .now()) }
            self.settle()
            return promise.futureResult
        }
        .wait()
    }

    /// Waits until all connections have ended.
    /// - Returns: how each of them has.
    func untilAllHaveEnded() throws -> [WireEnd] {
        try self.eventLoop.flatSubmit {
            let promise = self.eventLoop.makePromise(of: [WireEnd].self)
            self.ending = promise
            self.settleEnds()
            return promise.futureResult
        }
        .wait()
    }

    /// Sends messages at a fixed rate, on one connection after the other, for some time.
    /// - Returns: the latency of each.
    func latencies(rate: Int, seconds: Double) throws -> [TimeAmount] {
        let pace = Pace(self, rate: rate, seconds: seconds)
        return try self.eventLoop.flatSubmit { pace.begin(on: self.eventLoop) }.wait()
    }

    func closeAll() throws {
        try self.eventLoop.submit { for client in self.open { client.close() } }.wait()
    }

    // MARK: On the event loop

    private func connectNext() {
        guard self.open.count + self.connecting < self.wanted else { return }
        self.connecting += 1
        let address = "127.0.0.\(1 + (self.open.count + self.connecting) % Self.addresses)"
        guard let from = try? SocketAddress(ipAddress: address, port: 0) else { return }
        ClientBootstrap(group: self.eventLoop)
            .bind(to: from)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(WireClient(load: self))
                }
            }
            .connect(host: "127.0.0.1", port: self.port)
            .whenFailure { error in self.fail(error) }
    }

    private func fail(_ error: any Error) {
        self.waiting?.fail(error)
        self.waiting = nil
    }

    private func settle() {
        guard self.open.count >= self.wanted, self.awaited == 0 else { return }
        self.waiting?.succeed()
        self.waiting = nil
    }

    private func settleEnds() {
        guard self.ends.count == self.open.count else { return }
        self.ending?.succeed(self.ends)
        self.ending = nil
    }

    func opened(_ client: WireClient) {
        self.connecting -= 1
        self.open.append(client)
        self.connectNext()
        self.settle()
    }

    func echoed(_ client: WireClient, due: NIODeadline) {
        self.measured?(.now() - due)
        guard self.awaited > 0 else { return }
        self.awaited -= 1
        self.settle()
    }

    func ended(_ client: WireClient, _ end: WireEnd) {
        self.ends.append(end)
        if self.waiting != nil { self.fail(FleetError(end: end)) }
        self.settleEnds()
    }
}

struct FleetError: Error, CustomStringConvertible {
    let end: WireEnd

    var description: String { "a connection of the load ended too early: \(self.end)" }
}

/// Messages at a fixed rate, whether or not the echoes of those before have come. Unchecked: touched on the event loop only.
private final class Pace: @unchecked Sendable {
    /// How long the last echoes may take.
    private static let patience = TimeAmount.seconds(20)

    private let fleet: Fleet
    private let interval: TimeAmount
    private let total: Int
    private var sent = 0
    private var measured: [TimeAmount] = []
    private var due = NIODeadline.now()

    init(_ fleet: Fleet, rate: Int, seconds: Double) {
        self.fleet = fleet
        self.interval = .nanoseconds(1_000_000_000 / Int64(max(rate, 1)))
        self.total = Int(Double(rate) * seconds)
    }

    func begin(on eventLoop: any EventLoop) -> EventLoopFuture<[TimeAmount]> {
        let promise = eventLoop.makePromise(of: [TimeAmount].self)
        self.due = .now()
        let timeout = eventLoop.scheduleTask(
            in: .nanoseconds(self.interval.nanoseconds * Int64(self.total)) + Self.patience
        ) {
            promise.fail(ChannelError.connectTimeout(Self.patience))
        }
        self.fleet.measured = { latency in
            self.measured.append(latency)
            guard self.measured.count == self.total else { return }
            timeout.cancel()
            self.fleet.measured = nil
            promise.succeed(self.measured)
        }
        self.sendNext(on: eventLoop)
        return promise.futureResult
    }

    private func sendNext(on eventLoop: any EventLoop) {
        while self.sent < self.total, self.due <= .now() {
            self.fleet.open[self.sent % self.fleet.open.count].send(due: self.due)
            self.sent += 1
            self.due = self.due + self.interval
        }
        guard self.sent < self.total else { return }
        eventLoop.scheduleTask(deadline: self.due) { self.sendNext(on: eventLoop) }
    }
}

/// Some of the percentiles of latencies, in microseconds.
struct Percentiles: CustomStringConvertible {
    let values: [Double]

    static let title = "p50 | p99 | p99.9 | most"

    init(_ latencies: [TimeAmount]) {
        let sorted = latencies.map(\.nanoseconds).sorted()
        self.values = [0.5, 0.99, 0.999, 1].map { part in
            guard !sorted.isEmpty else { return 0 }
            return Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]) / 1_000
        }
    }

    var p99: Double { self.values[1] }
    var description: String { self.values.map { "\(Int($0))" }.joined(separator: " | ") }
}
