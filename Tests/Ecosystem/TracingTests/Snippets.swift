// The code in the documentation of metrics and traces, kept compiling.

import KHPClient
import KHPMetrics
import KHPServer
import KHPTracing

func configure(_ configuration: inout WebSocketServer.Configuration) {
    configuration.instruments.append(ServerMetrics())
    configuration.instruments.append(ServerTracing())
}

func configure(_ configuration: inout WebSocketClient.Configuration) {
    configuration.instruments.append(ClientMetrics())
    configuration.instruments.append(ClientTracing())
}
