import KHPProtocol
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import KHPClient

/// How many connections may be in CONNECTING state at once: RFC 6455 section 4.1, step 2.
@Suite("Places of connections that are being opened (R-C1, D38)")
struct ConnectPlaceTests {
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    /// Until so many wait, which the gate tells nobody; some seconds at most, so that a gate without bounds fails a test and
    /// does not hang it.
    private static func wait(for count: Int, at gate: ConnectGate) async {
        for _ in 0..<1000 where gate.waiting < count { try? await Task.sleep(for: .milliseconds(2)) }
        #expect(gate.waiting >= count)
    }

    @Test("through proxies at most 32 names at once; the next waits for a place, within its time")
    func bound() async throws {
        let gate = ConnectGate()
        var permits: [ConnectPermit] = []
        for number in 0..<32 {
            let places = ConnectPlace.through(proxyTo: "n\(number).example")
            permits.append(try #require(await gate.permit(for: places, until: .now() + .seconds(5), on: self.loop)))
        }
        let places = ConnectPlace.through(proxyTo: "next.example")
        #expect(await gate.permit(for: places, until: .now() + .milliseconds(20), on: self.loop) == nil)
        // A connect that is given up frees its places: the one of its name, and one of the 32.
        let loop = self.loop
        async let next = gate.permit(for: places, until: .now() + .seconds(5), on: loop)
        await Self.wait(for: 1, at: gate)
        permits.removeLast().giveBack()
        let permit = try #require(await next)
        #expect(gate.waiting == 0)
        // An address needs no resolution, and an address that we dial ourselves is not a name.
        let literal = ConnectPlace.through(proxyTo: "192.0.2.1")
        #expect(await gate.permit(for: literal, until: .now() + .seconds(5), on: self.loop) != nil)
        permit.giveBack()
        permit.giveBack()
        for permit in permits { permit.giveBack() }
        for number in 0..<32 {
            let places = ConnectPlace.through(proxyTo: "m\(number).example")
            #expect(await gate.permit(for: places, until: .now() + .seconds(5), on: self.loop) != nil)
        }
        #expect(await gate.permit(for: places, until: .now() + .milliseconds(20), on: self.loop) == nil)
    }

    @Test("one name through a proxy is one connection at a time, and so is one address")
    func own() async throws {
        let gate = ConnectGate()
        let address = try SocketAddress(ipAddress: "192.0.2.1", port: 80)
        let other = try SocketAddress(ipAddress: "192.0.2.1", port: 81)
        for (first, second) in [
            (ConnectPlace.through(proxyTo: "a.example"), ConnectPlace.through(proxyTo: "a.example")),
            ([.address(address)], [.address(other)]),
            ([.address(address)], ConnectPlace.through(proxyTo: "192.0.2.1")),
        ] {
            let permit = try #require(await gate.permit(for: first, until: .now() + .seconds(5), on: self.loop))
            #expect(await gate.permit(for: second, until: .now() + .milliseconds(10), on: self.loop) == nil)
            permit.giveBack()
            let next = await gate.permit(for: second, until: .now() + .seconds(5), on: self.loop)
            try #require(next).giveBack()
        }
    }

    @Test("a waiting connect that is cancelled leaves the queue")
    func cancelled() async throws {
        let gate = ConnectGate()
        let places = ConnectPlace.through(proxyTo: "a.example")
        let loop = self.loop
        let permit = try #require(await gate.permit(for: places, until: .now() + .seconds(5), on: loop))
        let waiting = Task { await gate.permit(for: places, until: .now() + .seconds(60), on: loop) }
        await Self.wait(for: 1, at: gate)
        waiting.cancel()
        #expect(await waiting.value == nil)
        #expect(gate.waiting == 0)
        permit.giveBack()
        #expect(await gate.permit(for: places, until: .now() + .seconds(5), on: loop) != nil)
    }

    @Test(
        "forty connects to forty names: a proxy sees 32, and the others when these have ended",
        .timeLimit(.minutes(1))
    )
    func throughProxy() async throws {
        let door = self.loop.makePromise(of: Void.self)
        defer { door.succeed() }
        let (full, isFull) = AsyncStream.makeStream(of: Void.self)
        let seen = Mutex((now: 0, most: 0))
        try await withProxy { client in
            _ = try await client.readHead()
            let now = seen.withLock { seen in
                seen.now += 1
                seen.most = max(seen.most, seen.now)
                return seen.now
            }
            if now == 32 { isFull.yield() }
            try await door.futureResult.get()
            seen.withLock { $0.now -= 1 }
            try await client.write("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        } body: { port, log in
            var configuration = WebSocketClient.Configuration()
            configuration.proxy = .proxy(try Proxy("http://127.0.0.1:\(port)"))
            let client = WebSocketClient(configuration: configuration)
            await withTaskGroup(of: Bool.self) { group in
                for number in 0..<40 {
                    group.addTask {
                        let error = await #expect(throws: WebSocketError.self) {
                            try await client.connect(to: "ws://n\(number).example/")
                        }
                        return error?.code == .proxyRefused
                    }
                }
                await Self.wait(for: 8, at: client.gate)
                for await _ in full { break }
                #expect(log.connections == 32)
                door.succeed()
                for await isRefused in group { #expect(isRefused) }
            }
            #expect(log.asked.count == 40)
            #expect(seen.withLock { $0.most } <= 32)
        }
    }
}
