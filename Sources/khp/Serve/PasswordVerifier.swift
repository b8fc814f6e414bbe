import NIOPosix

/// Verifies passwords away from the event loops and from the concurrency pool: a hash is slow on purpose, and NIO's
/// thread pool bounds how many are computed at a time.
struct PasswordVerifier: Sendable {
    private let users: UsersFile

    init(_ users: UsersFile) {
        self.users = users
    }

    func verify(user: String, password: String) async -> Bool {
        let users = users
        return (try? await NIOThreadPool.singleton.runIfActive { users.verify(user: user, password: password) })
            ?? false
    }
}
