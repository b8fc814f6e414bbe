// A file that an option names, for the command's own record of a conversation.

import Foundation
import NIOCore

/// A file to write to, made or emptied; readable by its owner alone, as it holds what was said.
///
/// Links are followed, and what is no file is written to as it is: a pipe, a terminal, /dev/null.
struct SavedFile: Sendable {
    private let descriptor: Int32

    /// - Parameter option: its name, for the mistake.
    init(_ path: String, option: String) throws(CommandFailure) {
        self.descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard self.descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw .usage("the file `\(TerminalText.escaped(path))` of \(option) cannot be written: \(reason)")
        }
        // One that was there keeps its mode otherwise.
        var status = stat()
        if fstat(self.descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG { fchmod(self.descriptor, 0o600) }
    }

    /// - Returns: the number of the error, or 0.
    func write(_ bytes: some Sequence<UInt8>) -> Int32 {
        let bytes = ByteBuffer(bytes: bytes)
        return bytes.withUnsafeReadableBytes { bytes in
            var rest = bytes
            while !rest.isEmpty {
                let count = Foundation.write(self.descriptor, rest.baseAddress, rest.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return errno }
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            }
            return 0
        }
    }

    func close() { Foundation.close(self.descriptor) }
}
