/// Builds the list of a server's endpoints from a block of code: endpoints, lists of endpoints, conditions, loops.
///
/// ```swift
/// let server = WebSocketServer(configuration: configuration) {
///     echo
///     for room in rooms { chat(room) }
///     if isDebugging { inspector }
/// }
/// ```
@resultBuilder
public enum EndpointBuilder {
    /// Takes one endpoint.
    public static func buildExpression(_ endpoint: Endpoint) -> [Endpoint] { [endpoint] }
    /// Takes a list of endpoints.
    public static func buildExpression(_ endpoints: [Endpoint]) -> [Endpoint] { endpoints }
    /// Joins the endpoints of a block.
    public static func buildBlock(_ parts: [Endpoint]...) -> [Endpoint] { parts.flatMap { $0 } }
    /// Takes the endpoints of an `if` without an `else`: none where the condition does not hold.
    public static func buildOptional(_ part: [Endpoint]?) -> [Endpoint] { part ?? [] }
    /// Takes the endpoints of an `if` whose condition holds, or of the first cases of a `switch`.
    public static func buildEither(first part: [Endpoint]) -> [Endpoint] { part }
    /// Takes the endpoints of an `else`, or of the last cases of a `switch`.
    public static func buildEither(second part: [Endpoint]) -> [Endpoint] { part }
    /// Joins the endpoints of a `for` loop.
    public static func buildArray(_ parts: [[Endpoint]]) -> [Endpoint] { parts.flatMap { $0 } }
    /// Takes the endpoints of an `if #available`.
    public static func buildLimitedAvailability(_ part: [Endpoint]) -> [Endpoint] { part }
}
