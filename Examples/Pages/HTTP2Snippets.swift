// The code of the page on HTTP/2, kept compiling. scripts/check-docs.py holds the page against it.

import KHPClient
import KHPHTTP2
import KHPServer
import NIOSSL

func servedOverHTTP2(_ tls: TLSConfiguration) -> WebSocketServer.Configuration {
    var configuration = WebSocketServer.Configuration(
        address: .hostname("0.0.0.0", port: 8443)
    )
    configuration.tls = tls
    configuration.http2 = .init()
    return configuration
}

func askedOverHTTP2() -> WebSocketClient.Configuration {
    var configuration = WebSocketClient.Configuration()
    configuration.http2 = .preferred
    return configuration
}

func shareOverHTTP2(_ configuration: inout WebSocketClient.Configuration) {
    configuration.http2.sharesConnections = true
    configuration.http2.idleTime = .seconds(60)
}
