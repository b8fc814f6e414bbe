// The life of the command: a start, reloads as signals and the admin address ask for them, and a drain.

import KHPServer
import NIOCore
import Synchronization

/// Runs a gateway until it is told to stop.
package struct GatewayRun: Sendable {
    /// Reads the configuration, with all files that it names.
    package typealias Load = @Sendable () -> Loaded

    package enum Loaded: Sendable {
        case good(GatewayMaterials)
        /// Each error is a sentence.
        case bad([String])
    }

    private let gateway: Gateway
    private let load: Load
    private let notice: ReadinessNotice

    package init(
        _ materials: GatewayMaterials,
        load: @escaping Load,
        notice: ReadinessNotice = ReadinessNotice(socket: nil),
        log: @escaping @Sendable (String) -> Void
    ) {
        self.gateway = Gateway(materials, log: log)
        self.load = load
        self.notice = notice
    }

    /// - Parameters:
    ///   - reloads: asks for a reload with each value. Those that come during one are followed by one more.
    ///   - stop: asks for the end with its first value.
    ///   - listening: told of all addresses, the admin address under the name `admin`.
    /// - Returns: how many sessions were cut at the end of the drain.
    /// - Throws: ``Gateway/Failure`` where it cannot start.
    package func run(
        reloads: AsyncStream<Void>,
        stop: AsyncStream<Void>,
        listening: @Sendable ([Gateway.Listening]) -> Void
    ) async throws(Gateway.Failure) -> Int {
        DescriptorShare.raise()
        let queue = ReloadQueue()
        // Before clients come: a gateway that its operators cannot ask does not begin.
        let admin = try await self.openAdmin(queue)
        var all: [Gateway.Listening]
        do throws(Gateway.Failure) {
            all = try await self.gateway.start()
        } catch {
            for server in admin { await server.value.close() }
            throw error
        }
        all += admin.map { name, server in
            Gateway.Listening(name: name, address: server.address, scheme: server.isSecure ? "https" : "http")
        }
        listening(all)
        self.notice.ready("\(all.count) listeners")
        let reloading = Task {
            for await _ in reloads { _ = await queue.run { await self.reload() } }
        }
        for await _ in stop { break }
        reloading.cancel()
        self.notice.stopping()
        let cut = await self.gateway.shutDown()
        for server in admin { await server.value.close() }
        return cut
    }

    /// SIGUSR1 asks to open the file of the log anew, and ends nothing: the log is standard error.
    package func noteReopening() {
        self.gateway.log.write(
            .info,
            "log.reopen",
            "the log goes to standard error: there is no file to open anew"
        )
    }

    /// The addresses for operators and for balancers, by their names; none, or all that there are to be.
    private func openAdmin(_ queue: ReloadQueue) async throws(Gateway.Failure) -> KeyValuePairs<String, AdminServer> {
        let materials = await self.gateway.materials
        guard let rules = materials.configuration.admin else { return [:] }
        let routes = AdminRoutes(gateway: self.gateway, access: AdminAccess(rules)) {
            await queue.run { await self.reload() }
        }
        let log = self.gateway.log
        let admin = try await self.opened("admin") {
            try await AdminServer(rules.listen, tls: materials.adminTLS, log: log) { try await routes.serve($0) }
        }
        guard let probes = rules.probes else { return ["admin": admin] }
        do throws(Gateway.Failure) {
            let server = try await self.opened("probes") {
                try await AdminServer(probes.listen, tls: materials.probesTLS, log: log) {
                    try await $0.respond(await routes.answerProbe($0.request))
                }
            }
            return ["admin": admin, "probes": server]
        } catch {
            await admin.close()
            throw error
        }
    }

    private func opened(
        _ name: String,
        _ open: () async throws -> AdminServer
    ) async throws(Gateway.Failure) -> AdminServer {
        do {
            return try await open()
        } catch {
            await self.gateway.stop()
            throw .cannotListen(name, ListeningSocket.Failure(error).words)
        }
    }

    private func reload() async -> ReloadOutcome {
        if let words = await self.gateway.unavailability { return .refused(words) }
        self.notice.reloading()
        let outcome = await self.take()
        switch outcome {
        case .done: self.notice.ready("reloaded")
        case .failed(let errors): self.notice.ready("the reload failed: " + (errors.first ?? ""))
        case .refused(let words): self.notice.ready("the reload was refused: " + words)
        }
        return outcome
    }

    private func take() async -> ReloadOutcome {
        switch self.load() {
        case .bad(let errors):
            await self.gateway.reloadFailed(errors)
            return .failed(errors)
        case .good(let materials):
            do throws(Gateway.Failure) {
                return .done(try await self.gateway.reload(materials))
            } catch .unavailable(let words) {
                return .refused(words)
            } catch {
                return .failed([error.words])
            }
        }
    }
}

/// One reload at a time; those who ask meanwhile share the next one.
actor ReloadQueue {
    private var current: Task<ReloadOutcome, Never>?
    private var next: Task<ReloadOutcome, Never>?

    func run(_ body: @escaping @Sendable () async -> ReloadOutcome) async -> ReloadOutcome {
        if let next { return await next.value }
        if let current {
            let next = Task { () -> ReloadOutcome in
                _ = await current.value
                self.begin()
                return await body()
            }
            self.next = next
            return await next.value
        }
        let task = Task { await body() }
        self.current = task
        let outcome = await task.value
        if self.current == task { self.current = nil }
        return outcome
    }

    /// The one that waited is the current one.
    private func begin() {
        self.current = self.next
        self.next = nil
    }
}
