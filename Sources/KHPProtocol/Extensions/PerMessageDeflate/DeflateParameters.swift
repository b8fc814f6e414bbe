// The parameters of permessage-deflate (RFC 7692 section 7.1), each validated exactly (threat C2).

/// The four parameters of one offer or answer.
struct DeflateParameters: Equatable {
    /// A window's size as the parameter gives it.
    enum Window: Equatable {
        /// The parameter is not there.
        case absent
        /// It is there without a value: an offer of `client_max_window_bits` only.
        case unlimited
        /// It is there with this value.
        case bits(Int)

        /// The most bits that it allows.
        var limit: Int {
            if case .bits(let bits) = self { return bits }
            return 15
        }
    }

    var serverNoContextTakeover = false
    var clientNoContextTakeover = false
    var serverWindow = Window.absent
    var clientWindow = Window.absent

    init() {}

    /// `nil` for anything that section 7.1 does not have: an unknown parameter, one that is there twice, a value where
    /// none belongs, none where one does, or one that is not a number from 8 to 15 in its only spelling.
    init?(_ parameters: ExtensionParameters, isOffer: Bool) {
        guard !parameters.hasDuplicates else { return nil }
        for parameter in parameters.all {
            switch (parameter.name, parameter.value) {
            case ("server_no_context_takeover", nil): self.serverNoContextTakeover = true
            case ("client_no_context_takeover", nil): self.clientNoContextTakeover = true
            case ("server_max_window_bits", let value?):
                guard let bits = Self.windowBits(value) else { return nil }
                self.serverWindow = .bits(bits)
            case ("client_max_window_bits", nil) where isOffer: self.clientWindow = .unlimited
            case ("client_max_window_bits", let value?):
                guard let bits = Self.windowBits(value) else { return nil }
                self.clientWindow = .bits(bits)
            default: return nil
            }
        }
    }

    /// 8 to 15 without leading zeros.
    private static func windowBits(_ value: String) -> Int? {
        switch value {
        case "8", "9", "10", "11", "12", "13", "14", "15": Int(value)
        default: nil
        }
    }

    /// As they stand in the header field.
    var parameters: ExtensionParameters {
        var parameters = ExtensionParameters()
        if self.serverNoContextTakeover { parameters.append("server_no_context_takeover") }
        if self.clientNoContextTakeover { parameters.append("client_no_context_takeover") }
        Self.append("server_max_window_bits", self.serverWindow, to: &parameters)
        Self.append("client_max_window_bits", self.clientWindow, to: &parameters)
        return parameters
    }

    private static func append(_ name: String, _ window: Window, to parameters: inout ExtensionParameters) {
        switch window {
        case .absent: break
        case .unlimited: parameters.append(name)
        case .bits(let bits): parameters.append(name, String(bits))
        }
    }
}
