extension WebSocketError {
    /// What a caller gets who uses a socket that has ended.
    package static func closed(_ info: CloseInfo) -> WebSocketError {
        info.error ?? WebSocketError(.closed, "The socket is closed.", closeCode: info.code, phase: .closing)
    }
}
