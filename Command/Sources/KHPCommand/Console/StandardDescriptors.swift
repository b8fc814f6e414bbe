import Foundation

/// Fills the places of standard streams that the command was started without, as by `>&-`: the next socket or file that
/// is opened would take their numbers, and be sent what belongs to them.
enum StandardDescriptors {
    static func fill() {
        // The lowest free number is the one that is given. Each is opened the wrong way round: reading and writing fail as
        // they do on one that is closed.
        for (descriptor, mode) in [(0, O_WRONLY), (1, O_RDONLY), (2, O_RDONLY)] as [(Int32, Int32)]
        where fcntl(descriptor, F_GETFD) < 0 {
            _ = open("/dev/null", mode)
        }
    }
}
