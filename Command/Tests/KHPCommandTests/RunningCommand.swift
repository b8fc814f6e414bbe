import Foundation

/// Runs the built command, as a person or a script would.
enum RunningCommand {
    struct Ended: Sendable {
        var status: Int32
        var output: String
        var errors: String

        /// The JSON objects of standard output.
        var events: [[String: Any]] {
            self.output.split(separator: "\n").compactMap {
                (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any]
            }
        }

        /// The names of the events, in order.
        var names: [String] { self.events.compactMap { $0["event"] as? String } }

        func event(_ name: String) -> [String: Any]? { self.events.last { $0["event"] as? String == name } }
    }

    /// The command lies beside the test bundle.
    static var executable: URL {
        let bundle = Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") }?.bundleURL
        let directory =
            bundle?.deletingLastPathComponent()
            ?? URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
        return directory.appendingPathComponent("khp")
    }

    /// Runs to the end, with this on standard input.
    static func run(_ arguments: [String], input: String = "", environment: [String: String] = [:]) async throws
        -> Ended
    {
        try await self.run(arguments, bytes: Data(input.utf8), environment: environment)
    }

    /// The same with bytes that need not be text.
    static func run(_ arguments: [String], bytes: Data, environment: [String: String] = [:]) async throws -> Ended {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(with: Result { try blocking(arguments, bytes, environment) })
            }
        }
    }

    private static func blocking(_ typed: [String], _ input: Data, _ environment: [String: String]) throws -> Ended {
        let (process, pipes) = try start(typed, environment: environment)
        let watchdog = DispatchWorkItem { process.terminate() }
        DispatchQueue.global().asyncAfter(deadline: .now() + 30, execute: watchdog)
        defer { watchdog.cancel() }
        try pipes.input.fileHandleForWriting.write(contentsOf: input)
        try pipes.input.fileHandleForWriting.close()
        let errors = Collected(pipes.errors)
        let output = pipes.output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Ended(
            status: process.terminationStatus,
            output: String(decoding: output, as: UTF8.self),
            errors: String(decoding: errors.wait(), as: UTF8.self)
        )
    }

    struct Pipes {
        let input = Pipe()
        let output = Pipe()
        let errors = Pipe()
    }

    static func start(_ arguments: [String], environment: [String: String] = [:]) throws -> (Process, Pipes) {
        let process = Process()
        let pipes = Pipes()
        process.executableURL = executable
        process.arguments = arguments
        // The proxies of whoever runs the tests are not for servers on this machine.
        let inherited = ProcessInfo.processInfo.environment.filter { !$0.key.lowercased().hasSuffix("_proxy") }
        process.environment = inherited.merging(environment) { $1 }
        process.standardInput = pipes.input
        process.standardOutput = pipes.output
        process.standardError = pipes.errors
        try process.run()
        return (process, pipes)
    }

    /// Runs `khp serve` on a free port while the body runs; then asks it to drain.
    /// - Returns: the result of the body, and the server's exit status.
    static func serving<R>(_ arguments: [String], _ body: (_ port: Int) async throws -> R) async throws -> (R, Int32) {
        let (process, pipes) = try start(["serve", "--port", "0", "--json"] + arguments)
        let line = firstLine(pipes.output)
        let object = (try? JSONSerialization.jsonObject(with: Data(line.utf8))) as? [String: Any]
        guard let port = object?["port"] as? Int else {
            process.terminate()
            throw CocoaError(.fileReadUnknown)
        }
        do {
            let result = try await body(port)
            process.terminate()
            process.waitUntilExit()
            return (result, process.terminationStatus)
        } catch {
            process.terminate()
            throw error
        }
    }

    /// Reads up to the end of the first line.
    static func firstLine(_ pipe: Pipe) -> String {
        var line: [UInt8] = []
        while let byte = try? pipe.fileHandleForReading.read(upToCount: 1)?.first, byte != 0x0A { line.append(byte) }
        return String(decoding: line, as: UTF8.self)
    }

    /// Reads a pipe to its end on a thread of its own, so that a full one cannot stop the process.
    private final class Collected: @unchecked Sendable {
        private let done = DispatchSemaphore(value: 0)
        private var data = Data()

        init(_ pipe: Pipe) {
            Thread.detachNewThread { [self] in
                self.data = pipe.fileHandleForReading.readDataToEndOfFile()
                self.done.signal()
            }
        }

        func wait() -> Data {
            self.done.wait()
            return self.data
        }
    }
}
