// Runs programs: tools to their end, tests until the first one fails.

internal import Foundation

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#elseif canImport(Android)
    internal import Android
#elseif canImport(Darwin)
    internal import Darwin
#endif

package enum Tool {
    package struct Result {
        var status: Int32
        var output: String
    }

    /// Runs a tool to its end. Its errors are part of the output.
    package static func run(_ arguments: [String]) throws -> Result {
        var output = ""
        let status = try Self.spawn(arguments, environment: [:], until: .distantFuture) { line in
            output += line + "\n"
            return true
        }
        guard let status else { throw Failure("\(arguments[0]) did not end") }
        return Result(status: status, output: output)
    }

    /// Runs a program in a process group of its own.
    /// - Parameters:
    ///   - environment: variables beside those of this process.
    ///   - until: the group is killed at this time.
    ///   - takesLine: takes a line of the output, and returns `false` to have the group killed.
    /// - Returns: the exit status, 128 and the signal where one ended the program, or `nil` where the time was over.
    static func spawn(
        _ arguments: [String],
        environment: [String: String],
        until deadline: Date,
        takesLine: (String) -> Bool
    ) throws -> Int32? {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Failure("no pipe") }
        defer { close(ends[0]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        posix_spawn_file_actions_addclose(&actions, ends[1])
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
        posix_spawnattr_setpgroup(&attributes, 0)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        let all = ProcessInfo.processInfo.environment.merging(environment) { $1 }.map { "\($0)=\($1)" }
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = all.map { strdup($0) } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var process: pid_t = 0
        let error = posix_spawnp(&process, arguments[0], &actions, &attributes, &argv, &envp)
        close(ends[1])
        guard error == 0 else { throw Failure("cannot run \(arguments[0]): \(String(cString: strerror(error)))") }

        var isKilled = false
        var isLate = false
        var pending: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let left = isKilled ? 2 : deadline.timeIntervalSinceNow
            if left <= 0 {
                isLate = true
                isKilled = true
                kill(-process, SIGKILL)
                continue
            }
            var wanted = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
            let ready = poll(&wanted, 1, Int32(min(left, 1_000) * 1000) + 1)
            if ready == 0 {
                // A descendant outside the group may hold the pipe.
                if isKilled { break }
                continue
            }
            let count = read(ends[0], &chunk, chunk.count)
            if count <= 0 { break }
            pending += chunk[..<count]
            while let newline = pending.firstIndex(of: 10) {
                let line = String(decoding: pending[..<newline], as: UTF8.self)
                pending.removeSubrange(...newline)
                if !isKilled, !takesLine(line) {
                    isKilled = true
                    kill(-process, SIGKILL)
                }
            }
        }
        var status: Int32 = 0
        // Where the pipe is closed and the program goes on, its time still counts.
        while waitpid(process, &status, WNOHANG) == 0 {
            if !isKilled, deadline.timeIntervalSinceNow <= 0 {
                isLate = true
                isKilled = true
                kill(-process, SIGKILL)
            }
            usleep(2_000)
        }
        kill(-process, SIGKILL)
        if isLate { return nil }
        let signal = status & 0x7F
        return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
    }
}

/// Prints a line at once, also where the output is a file.
package func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
}
