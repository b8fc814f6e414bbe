// The process's own metrics, under the names that Prometheus's clients give them. Linux tells them in files.

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#elseif canImport(Android)
    import Android
#elseif canImport(Darwin)
    import Darwin
#endif

enum ProcessMetrics {
    static func write(to metrics: inout MetricsText) {
        let seconds = Double(clock()) / Double(CLOCKS_PER_SEC)
        metrics.value("process_cpu_seconds_total", .counter, "Time of processors.", seconds)
        if let pages = Self.residentPages {
            let size = Double(sysconf(Int32(_SC_PAGESIZE)))
            metrics.value("process_resident_memory_bytes", .gauge, "Memory in RAM.", Double(pages) * size)
        }
        if let open = Self.openDescriptors {
            metrics.value("process_open_fds", .gauge, "Open file descriptors.", Double(open))
        }
        if let limit = DescriptorShare.openable {
            metrics.value("process_max_fds", .gauge, "The most file descriptors.", Double(limit))
        }
    }

    /// The second number of `/proc/self/statm`.
    private static var residentPages: Int? {
        guard let file = fopen("/proc/self/statm", "r") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, Int32(line.count), file) != nil else { return nil }
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let fields = text.split(separator: " ")
        return fields.count > 1 ? Int(fields[1]) : nil
    }

    private static var openDescriptors: Int? {
        guard let folder = opendir("/proc/self/fd") else { return nil }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // Two are the folder and its parent, one is the look itself.
        return count - 3
    }
}
