// The names that drafts and old Kaazing clients give to fields of today. Read only on connections of the
// Kaazing legacy exchange (D7), and only where the field of today says nothing.

enum LegacyFields {
    static let subprotocol: [String] = ["WebSocket-Protocol", "X-WebSocket-Protocol"]
    static let extensions: [String] = ["X-WebSocket-Extensions", "WebSocket-Extensions"]
}
