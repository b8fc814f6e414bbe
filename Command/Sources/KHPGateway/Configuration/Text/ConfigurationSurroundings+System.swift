// The surroundings of a process.

import Foundation

extension ConfigurationSurroundings {
    /// Of this process.
    /// - Parameter environment: its variables.
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
        while bytes.count < maximum {
            let count = chunk.withUnsafeMutableBytes { Foundation.read(descriptor, $0.baseAddress, $0.count) }
            guard count >= 0 else { throw Self.failure(errno) }
            if count == 0 { break }
            bytes += chunk.prefix(min(count, maximum - bytes.count))
        }
        return bytes
    }

    private static func failure(_ number: Int32) -> FileFailure {
        switch number {
        case ENOENT: FileFailure("does not exist")
        case EACCES: FileFailure("cannot be read: permission denied")
        case EISDIR: FileFailure("is a folder")
        default: FileFailure("cannot be read: \(String(cString: strerror(number)))")
        }
    }
}
