// --check=connect: each backend of each pool is dialled once, as the active check of the running gateway does it.

import NIOPosix

package enum ConnectCheck {
    /// Connects to every backend at the same time, with TLS, PROXY header and the words of the pool's check.
    ///
    /// - Returns: an error for each backend that is not well.
    package static func run(_ reading: ConfigurationReading) async -> [Finding] {
        guard let loaded = reading.loaded else { return [] }
        return await withTaskGroup(of: (Int, Finding?).self) { tasks in
            var count = 0
            for rules in loaded.configuration.pools {
                let place = reading.backendPlaces[rules.name]
                let pool: BackendPool
                do {
                    pool = try BackendPool(rules, tls: loaded.backendTLS[rules.name])
                } catch {
                    let finding = place.map { Self.finding($0, rules.name, "makes no TLS: \(error)") }
                    tasks.addTask { [count] in (count, finding) }
                    count += 1
                    continue
                }
                let checks = BackendChecks(pool: pool, eventLoop: MultiThreadedEventLoopGroup.singleton.any())
                for member in pool.members {
                    let index = count
                    count += 1
                    tasks.addTask {
                        guard let failure = await checks.check(member, rules.check ?? GatewayConfiguration.Check())
                        else {
                            return (index, nil)
                        }
                        let sentence = "\(member.url): \(failure.words)"
                        return (index, place.map { Self.finding($0, rules.name, sentence) })
                    }
                }
            }
            var findings: [(Int, Finding)] = []
            for await case (let index, let finding?) in tasks { findings.append((index, finding)) }
            return findings.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    private static func finding(_ place: (file: String, position: Position), _ pool: String, _ sentence: String)
        -> Finding
    {
        Finding(
            .error,
            file: place.file,
            position: place.position,
            key: "pools.\(pool).backends",
            sentence: sentence
        )
    }
}
