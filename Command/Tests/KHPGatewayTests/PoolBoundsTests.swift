// The bounds of a pool, and who counts among its backends.

import NIOCore
import NIOPosix
import Testing

@testable import KHPGateway

@Suite("The bounds of a pool", .timeLimit(.minutes(1)))
struct PoolBoundsTests {
    @Test("a backend has no more connections than it may, however many event loops ask at once")
    func connections() async throws {
        var rules = GatewayConfiguration.Pool(name: "p")
        rules.backends = [.local(1), .local(2)]
        rules.connections = 3
        for _ in 0..<50 {
            let pool = try BackendPool(rules, tls: nil)
            let taken = await withTaskGroup(of: Bool.self) { tasks in
                for _ in 0..<16 {
                    tasks.addTask {
                        let call = BackendCall(on: MultiThreadedEventLoopGroup.singleton.any())
                        return pool.take(call, except: [], now: .now()) != nil
                    }
                }
                return await tasks.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(taken == 6)
            #expect(pool.members.map(\.snapshot.connections) == [3, 3])
        }
    }

    @Test("a pool whose backends take nobody is not healthy", arguments: [0, 1])
    func weights(_ weight: Int) throws {
        var rules = GatewayConfiguration.Pool(name: "p")
        rules.backends = [.local(1)]
        rules.backends[0].weight = weight
        #expect(try BackendPool(rules, tls: nil).isHealthy() == (weight > 0))
    }
}
