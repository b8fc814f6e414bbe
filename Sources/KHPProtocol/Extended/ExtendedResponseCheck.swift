// A completing response has to correspond to the request (KHP-E10, KHP-E11, KHP-E14, D31).

struct ExtendedResponseCheck {
    struct Mismatch: Error {
        let message: String

        init(_ message: String) {
            self.message = message
        }
    }

    /// The subprotocol that the response selected, and the extensions as they now stand.
    let subprotocol: String?
    let extensions: OfferedExtensions

    init(of head: ResponseHead, _ known: KnownFields, to plan: ExtendedClientPlan) throws(Mismatch) {
        let fields = head.fields
        if known.contains(.accept), !plan.ignoresAcceptValue,
            !fields.value(of: "Sec-WebSocket-Accept", equals: plan.acceptValue)
        {
            throw Mismatch("its Sec-WebSocket-Accept is not that of the opening handshake")
        }
        // D31: deployed servers leave both out; where they stand they may not say something else than WebSocket.
        if head.status == 101, known.contains(.upgrade) {
            guard fields.count(of: "Upgrade") == 1, fields.value(of: "Upgrade", equalsIgnoringCase: "websocket") else {
                throw Mismatch("its Upgrade is not websocket")
            }
        }
        if head.status == 101, known.contains(.connection), fields.hasToken("close", in: .connection) {
            throw Mismatch("its Connection says close")
        }
        self.subprotocol = known.contains(.subprotocol) ? fields.first(.subprotocol) : nil
        if let subprotocol {
            // x-kaazing-handshake is never among the application's: the handshake does not nest (D14, threat E8).
            guard !known.contains(.repeatedSubprotocol), plan.subprotocols.contains(subprotocol) else {
                throw Mismatch("it selected a subprotocol that was not requested")
            }
        }
        guard known.contains(.extensions) else {
            self.extensions = plan.extensions
            return
        }
        var negotiation = plan.extensions
        do throws(GrammarError) {
            let answers = try parseExtensions(fields.all(.extensions))
            guard !answers.isEmpty else { throw GrammarError("its Sec-WebSocket-Extensions is empty", at: 0) }
            do throws(OfferedExtensions.Mismatch) {
                try negotiation.take(answers, layer: .extended)
            } catch {
                throw GrammarError(error.message, at: 0)
            }
        } catch {
            throw Mismatch(error.message)
        }
        self.extensions = negotiation
    }
}
