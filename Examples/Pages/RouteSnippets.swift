// The code in the documentation on redirects, cookies and reconnecting, kept compiling. scripts/check-docs.py holds the
// page against these sources.

import KHPClient
import NIOCore

func redirects(_ configuration: inout WebSocketClient.Configuration) {
    configuration.redirects.policy = .subDomain
    configuration.redirects.follows308 = true
    configuration.redirects.choose = { alternatives in
        alternatives.first { $0.contains("/eu/") }
    }
    // Called for each target with its addresses; only these are then dialled.
    configuration.redirects.permit = { step, addresses in
        addresses.allSatisfy { !($0.ipAddress ?? "").hasPrefix("169.254.") }
    }
}

func cookies(_ configuration: inout WebSocketClient.Configuration) throws {
    let store = CookieStore()
    try store.set(
        "session=4711; Path=/; Secure",
        from: "https://example.com/login"
    )
    configuration.cookies = .store(store)
}

func reconnecting() async throws {
    var configuration = WebSocketClient.Configuration()
    configuration.observe = { event, _ in
        if case .reconnecting(let attempt, let delay, let cause) = event {
            print("attempt \(attempt) in \(delay): \(cause)")
        }
    }
    let client = WebSocketClient(configuration: configuration)
    var policy = ReconnectPolicy()
    policy.attempts = 20
    try await client.withReconnection(
        to: "wss://example.com/trades",
        policy: policy
    ) { socket in
        try await socket.send("subscribe")
        for try await message in socket.messages { print(message) }
    }
}
