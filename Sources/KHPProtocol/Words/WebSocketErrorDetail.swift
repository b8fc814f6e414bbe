// The reasons within a code that a program acts on, so that nobody searches for words in a message: a message may hold a
// peer's text, and its words change from one version to the next.

extension WebSocketError {
    /// The reason within a ``Code``, where knowing it helps to decide what to do next. Set where the error is made.
    ///
    /// The list is closed: a `switch` over it needs no `default`. An error has no detail where its code says all that a
    /// program can act on.
    public enum Detail: String, Sendable, Hashable, CaseIterable, CustomStringConvertible {
        /// ``Code/connectFailed``: the host's name, or the proxy's, could not be resolved.
        case nameNotResolved = "name-not-resolved"
        /// ``Code/connectFailed``: the system of the server's host refused the connection; nothing listens at the port.
        case connectionRefused = "connection-refused"
        /// ``Code/connectFailed``: a server cannot listen, as another one listens at its address.
        case addressInUse = "address-in-use"
        /// ``Code/connectFailed``: the place that the configuration names instead of the URL's cannot be reached.
        case otherPlace = "other-place"
        /// ``Code/connectFailed`` or ``Code/tlsFailed``: the proxy cannot be reached, or ended the tunnel.
        case throughProxy = "through-proxy"
        /// ``Code/proxyRefused``: the proxy did not reach the server; it may later. Told by SOCKS proxies alone; an HTTP
        /// proxy tells the same with a status.
        case beyondProxy = "beyond-proxy"

        /// ``Code/connectFailed``, ``Code/closedDuringHandshake`` or ``Code/openingInvalid``: the URL's scheme is ws, and
        /// the server may speak TLS, which wss asks for.
        case speaksTLS = "speaks-tls"
        /// ``Code/tlsFailed``: the server answers TLS with something else.
        case speaksNoTLS = "speaks-no-tls"
        /// ``Code/tlsFailed``: no trusted authority has issued the server's certificate.
        case untrustedCertificate = "untrusted-certificate"
        /// ``Code/tlsFailed``: no trusted authority has issued the certificate of the proxy.
        case untrustedProxyCertificate = "untrusted-proxy-certificate"
        /// ``Code/tlsFailed``: the certificate has expired, or is not valid yet.
        case outdatedCertificate = "outdated-certificate"
        /// ``Code/tlsFailed``: the certificate is for another host.
        case wrongHost = "wrong-host"

        /// ``Code/redirectRefused``: the redirect leads from wss to ws.
        case leavesTLS = "leaves-tls"
        /// ``Code/redirectRefused``, ``Code/openingRefused`` or ``Code/extendedRefused``: the status is 308, which is
        /// not followed unless the configuration says so.
        case status308 = "status-308"
        /// ``Code/redirectRefused``: the redirect policy does not allow the target.
        case policy
        /// ``Code/redirectRefused``: the caller was asked about the redirect and did not permit it.
        case notPermitted = "not-permitted"
        /// ``Code/redirectRefused``: the response names no target, several, or one that no client may connect to.
        case unusableTarget = "unusable-target"

        /// ``Code/authenticationFailed`` or ``Code/proxyAuthenticationRequired``: there are no credentials for any
        /// challenge of the response.
        case noCredentials = "no-credentials"
        /// ``Code/authenticationFailed`` or ``Code/proxyAuthenticationRequired``: the credentials were sent and did not
        /// count.
        case credentialsRefused = "credentials-refused"
        /// ``Code/authenticationFailed`` or ``Code/proxyAuthenticationRequired``: a weaker scheme is asked for than
        /// before, or one that cannot be answered.
        case unusableChallenge = "unusable-challenge"

        /// The name in kebab case.
        public var description: String { self.rawValue }
    }
}
