// The ends of sessions that an operator or a signal asks for: a drain, which can be called off, and the end of the gateway, which
// cannot.

import NIOCore

extension Gateway {
    /// The way to the end, and a reload that it has to wait for.
    struct Life {
        var phase = Phase.starting
        /// The end has begun; from here on no order is taken.
        var isEnding = false
        var isReloading = false
        var afterReload: [CheckedContinuation<Void, Never>] = []
        /// Tells of a drain while it goes on.
        var progress: Task<Void, Never>?
    }

    package internal(set) var phase: Phase {
        get { self.life.phase }
        set { self.life.phase = newValue }
    }

    /// Why no reload and no drain is taken now; `nil` where they are.
    var unavailability: String? {
        if self.life.isEnding { return "the gateway shuts down" }
        return self.phase == .starting ? "the gateway starts" : nil
    }

    func beginReload() { self.life.isReloading = true }

    func endReload() {
        self.life.isReloading = false
        let waiting = self.life.afterReload
        self.life.afterReload = []
        for continuation in waiting { continuation.resume() }
    }

    // MARK: A drain

    /// Has readiness fail, sends new clients away, and ends all sessions over this time; the listeners stay.
    /// - Returns: how many sessions end.
    /// - Throws: ``Failure/unavailable(_:)``.
    package func drain(over time: Duration) async throws(Failure) -> Int {
        if let unavailability { throw .unavailable(unavailability) }
        self.phase = .draining
        self.drain.begin()
        let (drain, round) = (self.drain, self.drain.round)
        let open = await self.sessions.count()
        self.log.write(
            .notice,
            "drain.start",
            "an operator drains the gateway",
            [("sessions", .integer(open)), ("over", .string(time.inSeconds))]
        )
        let count = await self.sessions.close(.shutdown, over: time, unless: { drain.round != round })
        guard drain.round == round, !self.life.isEnding else { return count }
        self.life.progress?.cancel()
        self.life.progress = Task { await self.tellProgress(of: round) }
        return count
    }

    /// Lets clients in again, and sessions live on that were to be closed.
    /// - Throws: ``Failure/unavailable(_:)``.
    package func undrain() async throws(Failure) {
        if let unavailability { throw .unavailable(unavailability) }
        guard self.phase == .draining else { return }
        self.drain.callOff()
        self.phase = .serving
        self.life.progress?.cancel()
        self.log.write(
            .notice,
            "drain.end",
            "an operator lets clients in again",
            [("sessions", .integer(await self.sessions.count()))]
        )
    }

    /// Tells how many sessions are left, until none is or the drain is called off.
    private func tellProgress(of round: Int) async {
        while true {
            do { try await Task.sleep(for: self.drain.progress) } catch { return }
            let left = await self.sessions.count()
            guard self.drain.round == round, !Task.isCancelled else { return }
            self.tellProgress(left)
            if left == 0 { return }
        }
    }

    private func tellProgress(_ left: Int) {
        self.log.write(
            .info,
            "drain.progress",
            left == 0 ? "all sessions have ended" : "sessions are being ended",
            [("sessions", .integer(left))]
        )
    }

    // MARK: The end

    /// Announces, closes listeners, and ends all sessions evenly over the time of the configuration.
    /// - Returns: how many sessions were cut at its end.
    package func shutDown() async -> Int {
        let shutdown = self.materials.configuration.shutdown
        self.life.isEnding = true
        self.life.progress?.cancel()
        self.phase = .announcing
        let open = await self.sessions.count()
        self.log.write(
            .notice,
            "drain.start",
            "the gateway shuts down",
            [("sessions", .integer(open)), ("announce", .string(shutdown.announce.inSeconds))]
        )
        // A reload that has begun may yet open listeners.
        if self.life.isReloading { await withCheckedContinuation { self.life.afterReload.append($0) } }
        if shutdown.announce > .zero { try? await Task.sleep(for: shutdown.announce) }
        self.phase = .draining
        self.drain.begin()
        await withTaskGroup(of: Void.self) { tasks in
            for listener in self.listeners { tasks.addTask { await listener.close() } }
        }
        for listener in self.listeners { listener.retireConnections() }
        await self.sessions.close(.shutdown, over: shutdown.drain)
        let time = shutdown.drain + self.drain.grace
        let end = NIODeadline.now() + TimeAmount(time)
        let cut = await self.waitForSessions(time)
        await self.stop(by: cut > 0 ? .now() : end)
        self.log.writeLeftOut()
        self.log.write(cut > 0 ? .warning : .notice, "drain.end", "the gateway has shut down", [("cut", .integer(cut))])
        return cut
    }

    /// Waits until no session is left, for this long at most.
    /// - Returns: how many are left.
    private func waitForSessions(_ time: Duration) async -> Int {
        let clock = ContinuousClock()
        let end = clock.now + time
        var told = clock.now
        while true {
            let left = await self.sessions.count()
            guard left > 0, clock.now < end else { return left }
            if clock.now - told >= self.drain.progress {
                told = clock.now
                self.tellProgress(left)
            }
            try? await Task.sleep(for: .milliseconds(20))
        }
    }
}
