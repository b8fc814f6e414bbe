// Closes a connection of HTTP/2 after the GOAWAY with which this side reports an error: swift-nio-http2 leaves that to other
// handlers, and does not tell errors of the connection from those of a single stream (threat A19).

import NIOCore

/// Finds GOAWAY frames in a stream of frames (RFC 9113 sections 4.1 and 6.8).
struct GoAwayFinder {
    /// The length of a client's connection preface (RFC 9113 section 3.4).
    private static let prefaceBytes = 24
    private static let headerBytes = 9
    private static let goAway: UInt8 = 0x07
    /// The last stream, and the error.
    private static let goAwayBytes = 8

    private var header = ByteBuffer()
    private var isGoAway = false
    private var left: Int

    /// - Parameter behindPreface: `true` for the bytes of a client, which begin with the connection preface.
    init(behindPreface: Bool) {
        self.left = behindPreface ? Self.prefaceBytes : 0
    }

    /// - Returns: the error that a GOAWAY in these bytes names; `nil` where there is none, or it names no error.
    mutating func look(at bytes: ByteBuffer) -> UInt32? {
        var bytes = bytes
        var error: UInt32?
        while bytes.readableBytes > 0 {
            if self.left > 0, !self.isGoAway {
                let skipped = min(self.left, bytes.readableBytes)
                bytes.moveReaderIndex(forwardBy: skipped)
                self.left -= skipped
                continue
            }
            let wanted = self.isGoAway ? Self.goAwayBytes : Self.headerBytes
            if var part = bytes.readSlice(length: min(wanted - self.header.readableBytes, bytes.readableBytes)) {
                self.header.writeBuffer(&part)
            }
            guard self.header.readableBytes == wanted else { break }
            if self.isGoAway {
                if let code = self.header.getInteger(at: self.header.readerIndex + 4, as: UInt32.self), code != 0 {
                    error = code
                }
                self.left -= wanted
                self.isGoAway = false
            } else {
                let start = self.header.readerIndex
                let length = self.header.getInteger(at: start, as: UInt32.self) ?? 0
                self.left = Int(length >> 8)
                self.isGoAway =
                    UInt8(truncatingIfNeeded: length) == Self.goAway && self.left >= Self.goAwayBytes
            }
            self.header.clear()
        }
        return error
    }
}

/// Closes the channel once a GOAWAY that names an error has been passed on. Stands before the handler of frames.
final class GoAwayHandler: ChannelOutboundHandler {
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    private var finder: GoAwayFinder

    init(isClient: Bool) {
        self.finder = GoAwayFinder(behindPreface: isClient)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        var hasFailed = false
        if case .byteBuffer(let bytes) = self.unwrapOutboundIn(data) {
            hasFailed = self.finder.look(at: bytes) != nil
        }
        context.write(data, promise: promise)
        if hasFailed {
            let channel = context.channel
            context.eventLoop.execute { channel.close(promise: nil) }
        }
    }
}
