// One import is enough for a user's test.

@_exported public import KHPProtocol
