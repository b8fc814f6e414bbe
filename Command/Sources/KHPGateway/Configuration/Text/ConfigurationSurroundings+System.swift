// The surroundings of a process.

import Foundation

extension ConfigurationSurroundings {
    /// The surroundings of this process.
    /// - Parameter environment: the variables of its environment.
    package static func system(environment: [String: String]) -> ConfigurationSurroundings {
        var surroundings = ConfigurationSurroundings(
            environment: environment,
            hostName: ProcessInfo.processInfo.hostName,
            readFile: { path, maximum throws(FileFailure) in try Self.read(path, maximum) },
            isReadableByOthers: { path in
                let attributes = try? FileManager.default.attributesOfItem(atPath: path)
                let permissions = attributes?[.posixPermissions] as? NSNumber
                return (permissions?.intValue ?? 0) & 0o004 != 0
            },
            now: { Int64(Date().timeIntervalSince1970) },
            descriptors: DescriptorShare.allowed
        )
        surroundings.workingFolder = FileManager.default.currentDirectoryPath
        return surroundings
    }

    /// No more than the bound, so that a device or a file without end costs no memory.
    private static func read(_ path: String, _ maximum: Int) throws(FileFailure) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Self.failure(errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        // A pipe that nobody has opened for writing yet is at its end as well.
        var mayBegin = Self.isPipe(descriptor)
        while bytes.count < maximum {
            let count = chunk.withUnsafeMutableBytes { Foundation.read(descriptor, $0.baseAddress, $0.count) }
            guard count >= 0 else {
                let number = errno
                // A pipe that is not at its end has nothing yet.
                if number == EINTR || number == EAGAIN && Self.waits(for: descriptor) { continue }
                throw Self.failure(number)
            }
            if count == 0 {
                guard mayBegin else { break }
                mayBegin = false
                if Self.waits(for: descriptor) { continue }
                throw Self.failure(EAGAIN)
            }
            mayBegin = false
            bytes += chunk.prefix(min(count, maximum - bytes.count))
        }
        return bytes
    }

    private static func isPipe(_ descriptor: Int32) -> Bool {
        var status = stat()
        return fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
    }

    /// - Returns: `false` where nothing comes for a minute: a reload is not to wait for ever.
    private static func waits(for descriptor: Int32) -> Bool {
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&wait, 1, 60_000) > 0
    }

    private static func failure(_ number: Int32) -> FileFailure {
        switch number {
        case ENOENT: FileFailure("does not exist")
        case EACCES: FileFailure("cannot be read: permission denied")
        case EISDIR: FileFailure("is a folder")
        case EAGAIN: FileFailure("cannot be read: nothing comes")
        default: FileFailure("cannot be read: \(String(cString: strerror(number)))")
        }
    }
}
