// The events that a connect and its socket tell of, by who listens: each costs something to make.

import KHPProtocol
import Testing

@testable import KHPClient

@Suite("The observers of a connect")
struct ConnectObserverTests {
    private struct Instrument: ClientInstrument, ConnectInstrument {
        var observesFrames = false

        func connecting(to url: WebSocketURL) -> (any ConnectInstrument)? { self }
        func observe(_ event: ConnectionEvent, _ connection: ConnectionInfo) {}
    }

    @Test("are told of frames where somebody asks for them, and of nothing where nobody listens")
    func observation() throws {
        let url = try WebSocketURL("ws://example.com/")
        func observation(_ instruments: [any ClientInstrument], isObserved: Bool = false) -> Observation {
            let observer: ConnectObserver.Observer = { _, _ in }
            return ConnectObserver(isObserved ? observer : nil, instruments, url).observation
        }
        #expect(observation([]) == .nothing)
        #expect(observation([], isObserved: true) == .everything)
        #expect(observation([Instrument()]) == .steps)
        #expect(observation([Instrument()], isObserved: true) == .everything)
        #expect(observation([Instrument(), Instrument(observesFrames: true)]) == .everything)
    }
}
