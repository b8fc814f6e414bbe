/// Colours, where they are wanted: on a terminal that knows them, and unless NO_COLOR is set.
struct Style: Sendable {
    enum Colour: String, Sendable {
        case dim = "2"
        case bold = "1"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case blue = "34"
        case magenta = "35"
        case cyan = "36"
    }

    /// `true` when colours are written.
    let isEnabled: Bool

    init(isEnabled: Bool) {
        self.isEnabled = isEnabled
    }

    /// The style for a stream under an environment.
    init(isTerminal: Bool, environment: [String: String]) {
        let refused = !(environment["NO_COLOR"] ?? "").isEmpty || environment["TERM"] == "dumb"
        self.init(isEnabled: !refused && isTerminal)
    }

    func callAsFunction(_ text: String, _ colour: Colour) -> String {
        self.isEnabled && !text.isEmpty ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
    }
}
