/// Where permanent redirects (301, and 308 where it is followed) alone have led to. The specification has all future
/// requests go there, so a client that reconnects starts there (D29).
package struct PermanentMove: Sendable {
    /// The last of those redirects.
    package let step: RedirectStep
    /// True where the way there never left the origin of the URL that the caller gave (D12).
    let keepsSecrets: Bool
    /// The origins that the way there has left.
    let departed: Set<String>

    package var url: WebSocketURL { self.step.to }
}
