// Allowances for a program under a sanitizer, which is slower and larger.

import Foundation

package enum Sanitizer {
    /// How many times longer than usual things may take; `scripts/sanitize.sh` sets it.
    package static let patience = environment("KHP_TEST_PATIENCE").flatMap { Int($0) }.map { max($0, 1) } ?? 1

    /// `true` when a process takes memory for its own work alone, and not for a sanitizer's shadow and its quarantine.
    package static let leavesMemoryAlone = environment("KHP_TEST_PATIENCE") == nil

    private static func environment(_ name: String) -> String? { ProcessInfo.processInfo.environment[name] }
}
