import KHPProtocol

/// Who may come in: a challenge, and how its answer is verified.
public struct ServerAuthentication: Sendable {
    /// Where a client that takes part in the extended handshake is challenged; everyone else is challenged in the
    /// opening handshake.
    public enum Place: String, Sendable, CaseIterable {
        /// With a 401 inside, replayed on the same socket.
        case extended
        /// With a 401 as the response of the opening handshake.
        case opening
    }

    /// The realm, as shown to the person who is asked.
    public let realm: String
    /// Where the challenge is made.
    public let place: Place
    let isApplication: Bool
    let verify: @Sendable (_ user: String, _ password: String) async -> Bool

    /// Basic (RFC 7617).
    /// - Parameters:
    ///   - realm: what the credentials are for.
    ///   - application: challenges with `Application Basic`, as Kaazing clients expect, so that a browser does not
    ///     answer in the application's place.
    ///   - place: where to challenge those who take part in the extended handshake.
    ///   - verify: whether user and password belong together. Compare in constant time, or check a password hash.
    public static func basic(
        realm: String,
        application: Bool = false,
        challengeAt place: Place = .extended,
        verify: @escaping @Sendable (_ user: String, _ password: String) async -> Bool
    ) -> ServerAuthentication {
        ServerAuthentication(realm: realm, place: place, isApplication: application, verify: verify)
    }

    var challenge: String {
        "\(self.isApplication ? "Application " : "")Basic realm=\(quoted(self.realm)), charset=\"UTF-8\""
    }

    /// The user that the Authorization value proves, or `nil`.
    func principal(of authorization: String?) async -> String? {
        guard let authorization, let credentials = BasicCredentials(authorization: authorization) else { return nil }
        return await self.verify(credentials.user, credentials.password) ? credentials.user : nil
    }
}
