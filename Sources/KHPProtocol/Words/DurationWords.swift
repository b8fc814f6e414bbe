// Times as the sentences of errors name them.

extension Duration {
    /// As people say it in an error: `10 s`, `0.25 s`.
    package var words: String {
        let (seconds, attoseconds) = self.components
        if attoseconds == 0 { return "\(seconds) s" }
        return "\(Double(seconds) + Double(attoseconds) / 1e18) s"
    }
}
