/// The parameters of a request's path, as the endpoint's pattern names them, with percent-encoding undone.
///
/// ```swift
/// Endpoint("/rooms/{id}") { socket, request in
///     let id = try request.parameters.require("id", as: Int.self)
///     try await socket.send("Welcome to room \(id).")
/// }
/// ```
public struct PathParameters: Sendable {
    private var values: [(name: String, value: String)] = []

    /// No parameters.
    public init() {}

    package mutating func append(_ name: String, _ value: String) { self.values.append((name, value)) }

    /// The value of a parameter; `nil` where the pattern has none of that name.
    public subscript(name: String) -> String? { self.values.first { $0.name == name }?.value }

    /// The value of a parameter.
    /// - Throws: a response with status 400 where there is none.
    public func require(_ name: String) throws(HandshakeResponse) -> String {
        guard let value = self[name] else { throw .refuse(400, "The path has no \(name).\n") }
        return value
    }

    /// The value of a parameter as a number or another type that can be read from text.
    /// - Throws: a response with status 400 where there is none, or none that can be read so.
    public func require<Value: LosslessStringConvertible>(
        _ name: String,
        as type: Value.Type
    ) throws(HandshakeResponse) -> Value {
        guard let value = Value(try self.require(name)) else {
            throw .refuse(400, "The \(name) in the path cannot be read.\n")
        }
        return value
    }
}
