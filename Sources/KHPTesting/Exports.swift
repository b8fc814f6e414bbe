// One import is enough for a test of one's own.

@_exported public import KHPProtocol
