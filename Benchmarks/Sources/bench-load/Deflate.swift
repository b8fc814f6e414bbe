// The load of compressed echoes: text as trading desks send it, compressed and inflated with zlib itself.

import CBenchZlib

/// Both streams of one connection's client.
final class ClientDeflate {
    // zlib's own state points back to these.
    private let deflater = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private let inflater = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    private let keepsContext: Bool
    private var scratch: [UInt8]
    /// RFC 7692 section 7.2.1: the end of each message that is not sent.
    private static let tail: [UInt8] = [0x00, 0x00, 0xFF, 0xFF]

    init(size: Int, keepsContext: Bool) {
        self.keepsContext = keepsContext
        self.scratch = [UInt8](repeating: 0, count: 2 * size + 1024)
        self.deflater.initialize(to: z_stream())
        self.inflater.initialize(to: z_stream())
        guard bench_deflate_init(self.deflater, 6, 15, 8) == Z_OK, bench_inflate_init(self.inflater, 15) == Z_OK else {
            BenchLoad.fail("bench-load: zlib does not start\n")
        }
    }

    func compress(_ message: [UInt8]) -> [UInt8] {
        if !self.keepsContext { deflateReset(self.deflater) }
        let count = self.run(self.deflater, message, CBenchZlib.deflate)
        return Array(self.scratch[..<(count - Self.tail.count)])
    }

    /// Returns `true` when `bytes` inflate to `message`.
    func expands(_ bytes: ArraySlice<UInt8>, to message: [UInt8]) -> Bool {
        if !self.keepsContext { inflateReset(self.inflater) }
        let count = self.run(self.inflater, bytes + Self.tail, CBenchZlib.inflate)
        return self.scratch[..<count].elementsEqual(message)
    }

    private func run(
        _ stream: UnsafeMutablePointer<z_stream>,
        _ input: some Sequence<UInt8>,
        _ step: (UnsafeMutablePointer<z_stream>, Int32) -> Int32
    ) -> Int {
        var input = Array(input)
        return input.withUnsafeMutableBufferPointer { input in
            self.scratch.withUnsafeMutableBufferPointer { output in
                stream.pointee.next_in = input.baseAddress
                stream.pointee.avail_in = UInt32(input.count)
                stream.pointee.next_out = output.baseAddress
                stream.pointee.avail_out = UInt32(output.count)
                let code = step(stream, Z_SYNC_FLUSH)
                guard code == Z_OK, stream.pointee.avail_in == 0, stream.pointee.avail_out > 0 else {
                    BenchLoad.fail("bench-load: zlib says \(code)\n")
                }
                return output.count - Int(stream.pointee.avail_out)
            }
        }
    }
}

/// A message on each connection, then their echoes, again and again; no two of 64 messages in a row are the same.
struct CompressedEchoLoad: Rounds {
    private final class Client {
        let connection: Connection
        let deflate: ClientDeflate
        var next = 0

        init(_ options: Options) {
            self.connection = Connection(port: options.port)
            self.deflate = ClientDeflate(size: options.size, keepsContext: options.keepsContext)
            guard !options.isRaw else { return }
            self.connection.send(Opening.request(options))
            self.connection.expectOpening()
        }
    }

    private let clients: [Client]
    private let messages: [[UInt8]]
    private let options: Options

    init(_ options: Options) {
        self.options = options
        self.messages = Quotes.messages(count: 64, size: options.size)
        self.clients = (0..<options.connections).map { _ in Client(options) }
    }

    func round() -> Int {
        for client in self.clients {
            let message = client.deflate.compress(self.messages[client.next])
            client.connection.send(
                self.options.isRaw
                    ? Frame.raw(message, keepsContext: self.options.keepsContext) : Frame.compressed(message)
            )
        }
        for client in self.clients {
            let answer =
                self.options.isRaw ? client.connection.receiveRaw() : client.connection.receiveFrame(compressed: true)
            guard client.deflate.expands(answer, to: self.messages[client.next]) else {
                BenchLoad.fail("bench-load: something else came back\n")
            }
            client.next = (client.next + 1) % self.messages.count
        }
        return self.clients.count
    }
}

/// Text that compresses as what applications send does: the same names again and again, other numbers.
enum Quotes {
    static func messages(count: Int, size: Int) -> [[UInt8]] {
        var random = UInt32(2_463_534_242)
        func next(_ bound: UInt32) -> UInt32 {
            random ^= random << 13
            random ^= random >> 17
            random ^= random << 5
            return random % bound
        }
        let symbols = ["EURUSD", "GBPUSD", "USDJPY", "AUDNZD", "EURCHF", "USDCAD", "XAUUSD", "BTCUSD"]
        return (0..<count).map { _ in
            var text: [UInt8] = []
            while text.count < size {
                let symbol = symbols[Int(next(UInt32(symbols.count)))]
                let quote = """
                    {"type":"quote","symbol":"\(symbol)","bid":\(next(20_000)).\(10 + next(90)),\
                    "ask":\(next(20_000)).\(10 + next(90)),"size":\(100 * next(50)),"time":17\(next(1_000_000_000))},
                    """
                text += Array(quote.utf8)
            }
            return Array(text[..<size])
        }
    }
}
