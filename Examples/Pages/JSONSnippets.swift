// The code in the documentation of KHPJSON, kept compiling.

import KHPClient
import KHPJSON

private struct Order: Codable {
    var id: Int
    var symbol = "KAZ"
}

private struct Confirmation: Codable {
    var id: Int
}

private func confirm(_ socket: WebSocket) async throws {
    for try await order in socket.messages.decoded(as: Order.self) {
        try await socket.send(json: Confirmation(id: order.id))
    }
}

private func tellFaults(_ socket: WebSocket) async throws {
    do {
        let orders = socket.messages
            .decoded(as: Order.self, undecodable: .fail)
        for try await order in orders { print(order.id) }
    } catch let fault as UndecodableMessage {
        try await socket.send("error: \(fault)")
    }
}

private func ask(_ socket: WebSocket) async throws -> Confirmation {
    try await socket.send(json: Order(id: 7, symbol: "KAZ"))
    let answer = try await socket.receive(json: Confirmation.self)
    return answer
}
