// The payload of a close frame (RFC 6455 sections 5.5.1 and 7.4), read strictly, and written
// so that no peer can object to it.

package import NIOCore

/// The code and reason in a close frame.
package struct ClosePayload: Sendable, Equatable {
    /// `nil` if the frame was empty.
    package var code: WebSocketCloseCode?
    package var reason: String

    package init(code: WebSocketCloseCode?, reason: String = "") {
        self.code = code
        self.reason = reason
    }

    /// Reads a close frame's payload: nothing, or a code that may be sent (1000-1003, 1007-1014, 3000-4999) and a
    /// reason in UTF-8.
    package static func read(_ payload: ByteBuffer) throws(FrameViolation) -> ClosePayload {
        var payload = payload
        guard payload.readableBytes > 0 else { return ClosePayload(code: nil) }
        guard let number = payload.readInteger(as: UInt16.self) else {
            throw .violation("close frame with half a code")
        }
        let code = WebSocketCloseCode(rawValue: number)
        guard code.isValidOnWire else { throw .violation("close code \(number) must not be sent") }
        var utf8 = UTF8Validator()
        let isValid = payload.withUnsafeReadableBytes { utf8.validate($0) }
        guard isValid && utf8.isComplete else {
            throw FrameViolation(closeCode: .invalidPayload, message: "close reason is not valid UTF-8")
        }
        return ClosePayload(code: code, reason: String(buffer: payload))
    }

    /// The payload to send: empty without a code, or with a code that never goes on the wire (1005, 1006, 1015 and
    /// others). The reason is cut between characters to fit.
    package func write(into output: inout ByteBuffer) {
        guard let code, code.isValidOnWire else { return }
        output.writeInteger(code.rawValue)
        output.writeString(Self.fitting(self.reason))
    }

    private static func fitting(_ reason: String) -> String {
        guard reason.utf8.count > Limits.Fixed.closeReasonBytes else { return reason }
        var fitting = String.UnicodeScalarView()
        var count = 0
        for scalar in reason.unicodeScalars {
            count += UTF8.width(scalar)
            if count > Limits.Fixed.closeReasonBytes { break }
            fitting.append(scalar)
        }
        return String(fitting)
    }
}
