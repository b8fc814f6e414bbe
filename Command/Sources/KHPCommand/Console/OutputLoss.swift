/// Why standard output takes nothing any more.
enum OutputLoss: Sendable, Equatable {
    /// Its reader is gone, which is no failure: that reader has what it wanted.
    case readerLeft
    /// Another reason, in the words of the system.
    case failed(String)

    /// The failure that the command ends with.
    var failure: CommandFailure? {
        switch self {
        case .readerLeft: nil
        case .failed(let reason):
            CommandFailure(.output, code: "output", "standard output cannot be written: \(reason)")
        }
    }
}
