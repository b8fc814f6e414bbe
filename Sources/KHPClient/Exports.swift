// One import is enough for an application: the protocol's public types and the socket come along.

@_exported public import KHPProtocol
@_exported public import KHPWebSocket
