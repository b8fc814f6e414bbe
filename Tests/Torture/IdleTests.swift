// A wait costs nothing: in each state the processor time of the whole process is measured, for some tenths of a second.

import Foundation
import Synchronization
import TestSupport
import Testing

@Suite("Idle states use no processor time", .serialized)
struct IdleTests {
    /// Milliseconds of processor time in a second of waiting. One turn of a loop at full speed uses a thousand.
    private static let most = 5.0

    @Test("at most 5 ms in a second, in every state in which an end of ours waits, and each is reached")
    func everyState() async {
        for state in IdleState.all {
            let looks = Mutex<[Look]>([])
            do {
                try await state.hold { signs in
                    let look = await Self.look(for: signs)
                    looks.withLock { $0.append(look) }
                }
            } catch {
                Issue.record("\(state.name): \(error)")
            }
            let all = looks.withLock { $0 }
            let figures = all.map { String(format: "%.2f", $0.used) }
            print("  \(state.name): \(figures.joined(separator: ", ")) ms/s")
            #expect(!all.isEmpty, "\(state.name)")
            for look in all {
                #expect(look.missing == [], "\(state.name) is not reached, or not kept")
                #expect(look.used <= Self.most * Double(Sanitizer.patience), "\(state.name): \(look.used) ms/s")
            }
        }
    }

    private struct Look {
        /// Milliseconds of processor time in a second.
        var used = Double.infinity
        /// The signs of the state that were not there.
        var missing: [String] = []
    }

    /// Waits for the state, and measures. The least of up to three looks: what other tests have left behind ends, and a loop
    /// at full speed does not.
    private static func look(for signs: [IdleState.Sign]) async -> Look {
        var look = Look()
        for _ in 0..<3 where look.used > Self.most || !look.missing.isEmpty {
            // The way to the state is over.
            for _ in 0..<20 {
                let before = Descriptors.processorTime()
                try? await Task.sleep(for: .milliseconds(20))
                if Descriptors.processorTime() - before < 0.001 { break }
            }
            look.missing = await Self.missing(of: signs, within: .seconds(5) * Sanitizer.patience)
            // Nobody waits in a state that is not there.
            guard look.missing.isEmpty else { break }
            let (began, before) = (ContinuousClock.now, Descriptors.processorTime())
            try? await Task.sleep(for: .milliseconds(200))
            let used = (Descriptors.processorTime() - before) * 1000 / ((ContinuousClock.now - began) / .seconds(1))
            look.used = min(look.used, used)
            look.missing = await Self.missing(of: signs.filter { !$0.isBrief }, within: .zero)
        }
        return look
    }

    /// - Returns: the signs that have not come in time.
    private static func missing(of signs: [IdleState.Sign], within time: Duration) async -> [String] {
        let limit = ContinuousClock.now + time
        while true {
            var missing: [String] = []
            for sign in signs where (try? await sign.isThere()) != true { missing.append(sign.name) }
            if missing.isEmpty || ContinuousClock.now >= limit { return missing }
            try? await Task.sleep(for: .milliseconds(2))
        }
    }
}
