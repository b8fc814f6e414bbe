// The descriptors of this process, each with the thing behind it.

import Foundation

#if canImport(Glibc)
    import Glibc
    private let descriptorLimit = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
    private let descriptorLimit = RLIMIT_NOFILE
#elseif canImport(Darwin)
    import Darwin
    private let descriptorLimit = RLIMIT_NOFILE
#endif

enum Descriptors {
    /// The sockets that are open; nothing where the system does not tell.
    static func sockets() -> Set<String> {
        let folder = "/proc/self/fd"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let targets = names.compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\($0)") }
        return Set(targets.filter { $0.hasPrefix("socket:") })
    }

    /// The processor time that this process has used, in seconds.
    static func processorTime() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Runs `body` while no further descriptor can be made.
    static func withoutFreeOnes(_ body: () async throws -> Void) async throws {
        var usual = rlimit()
        getrlimit(descriptorLimit, &usual)
        // The system gives the lowest that is free.
        let lowest = dup(0)
        close(lowest)
        var none = usual
        none.rlim_cur = rlim_t(max(lowest, 0))
        setrlimit(descriptorLimit, &none)
        defer { setrlimit(descriptorLimit, &usual) }
        try await body()
    }
}
