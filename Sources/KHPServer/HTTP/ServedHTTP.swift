// One exchange of ordinary HTTP on its connection: the content that waits for the application, the response so far, and the
// task that waits for either. On the event loop only.

import KHPProtocol
import NIOCore

final class ServedHTTP {
    /// The end of the content, as far as it has come.
    private enum ContentEnd {
        case open
        case reached
        case failed(HTTPExchangeError)
    }

    let request: CheckedRequest
    let instruments: ServerInstruments
    var response: OrdinaryResponse
    /// `true` while the client waits for 100 before it sends the content.
    var mustContinue: Bool
    private(set) var isOver = false
    private var task: Task<Void, Never>?
    private var content = CircularBuffer<ByteBuffer>()
    private var contentBytes = 0
    private var contentEnd = ContentEnd.open
    private var reader: HTTPWait<ByteBuffer?>?
    private var writers: [HTTPWait<Void>] = []

    init(_ request: CheckedRequest, _ response: OrdinaryResponse, _ instruments: ServerInstruments) {
        self.request = request
        self.response = response
        self.instruments = instruments
        self.mustContinue = request.head.expectsContinue
    }

    func run(_ task: Task<Void, Never>) {
        if self.isOver { task.cancel() }
        self.task = task
    }

    // MARK: Content

    /// Bytes that wait for the application from which on no more are read.
    private static let mostWaiting = 64 * 1024

    var isFull: Bool { self.contentBytes >= Self.mostWaiting }

    /// `true` while the application waits for content. It may have cancelled the task that did.
    var awaitsContent: Bool { self.reader.map { !$0.isOver } ?? false }

    func receive(_ piece: ByteBuffer) {
        self.mustContinue = false
        if let reader = self.reader.take(), reader.complete(.success(piece)) { return }
        self.content.append(piece)
        self.contentBytes += piece.readableBytes
    }

    func receiveEnd() {
        self.mustContinue = false
        self.contentEnd = .reached
        self.reader.take()?.complete(.success(nil))
    }

    /// No more of it comes.
    func failContent(_ error: HTTPExchangeError) {
        guard case .open = self.contentEnd else { return }
        self.contentEnd = .failed(error)
        self.reader.take()?.complete(.failure(error))
    }

    /// The next piece; what comes before the end is handed out before it.
    func next() -> HTTPConversation.Reply<ByteBuffer?> {
        if let piece = self.content.popFirst() {
            self.contentBytes -= piece.readableBytes
            return .now(.success(piece))
        }
        switch self.contentEnd {
        case .reached: return .now(.success(nil))
        case .failed(let error): return .failed(error)
        case .open:
            let wait = HTTPWait<ByteBuffer?>()
            // One reader: another that comes takes its place.
            self.reader?.complete(.failure(.cancelled))
            self.reader = wait
            return .later(wait)
        }
    }

    // MARK: Waits for room

    /// - Parameter whenCancelled: the outcome where the task is cancelled meanwhile.
    func waitForRoom(whenCancelled: HTTPWait<Void>.Outcome = .failure(.cancelled)) -> HTTPConversation.Reply<Void> {
        // A task that is cancelled and tries on would leave one each time.
        self.writers.removeAll { $0.isOver }
        let wait = HTTPWait<Void>(whenCancelled: whenCancelled)
        self.writers.append(wait)
        return .later(wait)
    }

    func roomIsThere() {
        let writers = self.writers
        self.writers = []
        for writer in writers { writer.complete(.success(())) }
    }

    // MARK: The end

    /// Nothing can be received or sent any more: ends the waits with an error, and cancels the task.
    func end() {
        self.finish(.clientGone)
        self.task?.cancel()
    }

    /// The exchange is complete.
    func complete() {
        self.finish(.alreadyAnswered)
        self.content.removeAll()
        self.task = nil
    }

    private func finish(_ error: HTTPExchangeError) {
        self.isOver = true
        self.failContent(error)
        let writers = self.writers
        self.writers = []
        for writer in writers { writer.complete(.failure(error)) }
    }
}
