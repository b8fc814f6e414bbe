// The files that `khp serve` reads when it starts, and again at SIGHUP: the certificate and the users.

import KHPServer

struct ServedFiles: Sendable {
    let listen: ListenOptions
    let access: AccessOptions
    let routes: [Route]
    /// The endpoints that the server started with: rooms stay, with all that are in them.
    let endpoints: [Endpoint]

    /// `true` where there is something to read.
    var areThere: Bool { self.listen.tlsCert != nil || self.access.users != nil }

    /// Reads all of them, then puts them in force; or leaves all as it was and says why.
    func readAgain(for server: WebSocketServer, _ console: Console) {
        do {
            let tls = try self.listen.tls()
            let authentication = try self.access.authentication(for: self.routes, console: console)
            if let tls { try server.replaceTLS(tls) }
            if !authentication.isEmpty {
                try server.replaceEndpoints(
                    self.endpoints.map { endpoint in
                        var endpoint = endpoint
                        if let new = authentication[endpoint.path] { endpoint.options.authentication = new }
                        return endpoint
                    }
                )
            }
            console.report(.note("read the files again; they hold for connections from now on"))
        } catch {
            let sentence = CommandFailure(any: error).sentence
            console.report(.warning("\(sentence); the files that were read before stay in force"))
        }
    }
}
