// A page, responses and uploads that are streamed, and a WebSocket, on one port.
//
//     swift run --package-path Examples ExampleStreamingServer [PORT [CERTIFICATE KEY]]
//
// Without a port 8080; 0 takes a free one. With a certificate and its key, as PEM files, browsers come by HTTP/2. The logger
// tells where it listens; the page is at /.

import HTTPTypes
import KHPHTTP2
import KHPServer
import Logging
import NIOCore
import NIOSSL

let page = """
    <!doctype html><meta charset="utf-8"><title>streaming</title><pre id="log"></pre>
    <script type="module">
      const log = document.getElementById("log");
      const response = await fetch("/ticks");
      for await (const text of response.body.pipeThrough(new TextDecoderStream())) log.append(text);
      const socket = new WebSocket(new URL("/echo", location.href.replace("http", "ws")));
      socket.onopen = () => socket.send("hello\\n");
      socket.onmessage = ({ data }) => { log.append(data); socket.close(1000); };
    </script>
    """

let arguments = Array(CommandLine.arguments.dropFirst())
var configuration = WebSocketServer.Configuration(
    address: .hostname("127.0.0.1", port: arguments.first.flatMap { Int($0) } ?? 8080)
)
configuration.logger = Logger(label: "streaming")
if arguments.count == 3 {
    configuration.tls = .makeServerConfiguration(
        certificateChain: try NIOSSLCertificate.fromPEMFile(arguments[1]).map { .certificate($0) },
        privateKey: .privateKey(try NIOSSLPrivateKey(file: arguments[2], format: .pem))
    )
    configuration.http2 = .init()
}
// Nothing of an upload is kept, so that it may be as long as it likes.
configuration.httpLimits.bodyBytes = nil
configuration.serveHTTP = { exchange in
    let text: HTTPFields = [.contentType: "text/plain; charset=utf-8"]
    switch (exchange.request.method, exchange.request.path) {
    case (.get, "/"):
        let html: HTTPFields = [.contentType: "text/html; charset=utf-8"]
        try await exchange.respond(.init(status: .ok, headerFields: html), page)
    case (.get, "/ticks"):
        try await exchange.respond(.init(status: .ok, headerFields: text)) { writer in
            for number in 1...4 {
                try await writer.write("tick \(number)\n")
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    case (.get, "/mebibytes"):
        let piece = ByteBuffer(repeating: UInt8(ascii: "x"), count: 64 * 1024)
        try await exchange.respond(.init(status: .ok, headerFields: text)) { writer in
            for _ in 0..<16 * 8 { try await writer.write(piece) }
        }
    case (.post, "/length"):
        var length = 0
        for try await piece in exchange.body { length += piece.readableBytes }
        try await exchange.respond(.init(status: .ok, headerFields: text), "\(length)\n")
    default:
        break  // The server's own 404, or 405.
    }
}

let server = WebSocketServer(configuration: configuration) {
    Endpoint("/echo") { socket in
        for try await message in socket.messages { try await socket.send(message) }
    }
}
try await server.run()
