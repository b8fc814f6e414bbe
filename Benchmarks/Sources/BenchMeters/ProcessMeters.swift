// The time, memory and descriptors of a process, as the kernel tells them.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

/// The time of a clock that only goes forward.
package func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// The processor time of a process, all its threads together; 0 where it cannot be told.
package func cpuSeconds(of pid: Int?) -> Double {
    #if os(Linux)
        guard let pid, let directory = opendir("/proc/\(pid)/task") else { return 0 }
        defer { closedir(directory) }
        var nanoseconds = 0.0
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard Int(name) != nil, let file = fopen("/proc/\(pid)/task/\(name)/schedstat", "r") else { continue }
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 128)
            guard fgets(&line, CInt(line.count), file) != nil else { continue }
            nanoseconds += strtod(line, nil)
        }
        return nanoseconds / 1e9
    #else
        return 0
    #endif
}

/// The anonymous memory of a process that is in RAM; 0 where that cannot be told.
package func residentBytes(of pid: Int?) -> Int {
    guard let pid, let file = fopen("/proc/\(pid)/status", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    while fgets(&line, CInt(line.count), file) != nil {
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard text.hasPrefix("RssAnon:") else { continue }
        return (Int(text.filter(\.isNumber)) ?? 0) * 1024
    }
    return 0
}

/// How many descriptors a process has open; 0 where that cannot be told.
package func openDescriptors(of pid: Int) -> Int {
    #if os(Linux)
        guard let directory = opendir("/proc/\(pid)/fd") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // Its own entry and its parent's.
        return count - 2
    #else
        return 0
    #endif
}
