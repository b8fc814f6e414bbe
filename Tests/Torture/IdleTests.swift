// A wait costs nothing: in each state the processor time of the whole process is measured, for some tenths of a second.

import Synchronization
import TestSupport
import Testing

@Suite("Idle states use no processor time", .serialized)
struct IdleTests {
    /// Milliseconds of processor time in a second of waiting. One turn of a loop at full speed uses a thousand.
    private static let most = 5.0

    @Test("at most 5 ms in a second, in every state in which an end of ours waits")
    func everyState() async throws {
        for state in IdleState.all {
            let measured = Mutex<[Double]>([])
            try await state.hold {
                let used = try await Self.measure()
                measured.withLock { $0.append(used) }
            }
            let used = measured.withLock { $0 }
            let figures = used.map { String(Int($0 * 100) / 100) + "." + String(Int($0 * 100) % 100) }
            print("  \(state.name): \(figures.joined(separator: ", ")) ms/s")
            #expect(!used.isEmpty, "\(state.name)")
            for used in used { #expect(used <= Self.most * Double(Sanitizer.patience), "\(state.name): \(used) ms/s") }
        }
    }

    /// - Returns: milliseconds of processor time in a second. The least of up to three looks: what other tests have left
    ///   behind ends, and a loop at full speed does not.
    private static func measure() async throws -> Double {
        // Until the state is reached and what led to it is over.
        for _ in 0..<20 {
            let before = Descriptors.processorTime()
            try await Task.sleep(for: .milliseconds(20))
            if Descriptors.processorTime() - before < 0.001 { break }
        }
        var least = Double.infinity
        for _ in 0..<3 where least > Self.most {
            let (began, before) = (ContinuousClock.now, Descriptors.processorTime())
            try await Task.sleep(for: .milliseconds(200))
            let used = Descriptors.processorTime() - before
            least = min(least, used * 1000 / ((ContinuousClock.now - began) / .seconds(1)))
        }
        return least
    }
}
