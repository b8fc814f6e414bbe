// HTTP heads (RFC 9112): the same at every cut, no more kept than the limits allow, and written as they were read.

import KHPProtocol
import NIOCore

extension FuzzTarget {
    /// Requests of which each breaks a rule, or bends it.
    private static let faultyRequests: [[UInt8]] = {
        let former =
            "GET /echo HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: h\r\nOrigin: http://h\r\n"
        let keys = ["1a2 3", "no digits", "1234", "1 2 3", "99999999999 9", "4  0"]
        var texts = keys.map { "\(former)Sec-WebSocket-Key1: \($0)\r\nSec-WebSocket-Key2: 18 2\r\n\r\n12345678" }
        let socket = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        let lines = [
            "Content-Length: 5", "Transfer-Encoding: chunked", "Content-Length: x", "Sec-WebSocket-Version: 99",
            "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Origin: http://h", "Host: i", "Connection: close",
            "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Origin: a\r\nSec-WebSocket-Origin: b",
            "Sec-WebSocket-Key: short",
            "Sec-WebSocket-Protocol: access_token, eyJhbGciOiJIUzI1NiJ9, chat, bearer.abc, 1234567890abcdef",
            "Sec-WebSocket-Protocol: \((0..<70).map { "p\($0)" }.joined(separator: ", "))",
            "Authorization: Bearer Zq9vXw7Rk2abcdef\r\nOrigin: http://h:99999", "Origin: h\r\nOrigin: i",
        ]
        texts += lines.map {
            "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\(socket)Sec-WebSocket-Version: 13\r\n\(key)\($0)\r\n\r\n"
        }
        let starts = [
            "GET http://h:80/a HTTP/1.1", "GET http://h HTTP/1.1", "GET http://i/ HTTP/1.1", "GET ?a HTTP/1.1",
            "GET //h/a HTTP/1.1", "GET /a#b HTTP/1.1", "GET * HTTP/1.1", "OPTIONS * HTTP/1.1", "CONNECT h:1 HTTP/1.1",
            "CONNECT h HTTP/1.1", "GET /a HTTP/1.0", "GET ws://u@h/?x HTTP/1.1", "POST /a HTTP/1.1",
            "GET /%zz HTTP/1.1",
        ]
        texts += starts.map { "\($0)\r\nHost: h\r\n\(socket)Sec-WebSocket-Version: 13\r\n\(key)\r\n" }
        let hosts = [
            "", "[::1", "300.1.1.1", "0x7f.1", "a..b", "h:0", "h:99999", "h:", "[1::2::3]", "u@h", "h/x", "xn--a",
        ]
        texts += hosts.map { "GET / HTTP/1.1\r\nHost: \($0)\r\nTransfer-Encoding: gzip, chunked\r\n\r\n" }
        texts.append("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")
        return texts.map { Array($0.utf8) }
    }()

    static let requestHeads = FuzzTarget(name: "request-heads") { seeds in
        (seeds.heads(of: .client) + faultyRequests).deciding([[0, 0], [0, 7], [1, 3]])
    } run: { input in
        var input = input
        let limits = Self.limits(&input)
        let decode: (inout RequestHeadDecoder, inout ByteBuffer) throws(HeadError) -> RequestHead? = {
            (decoder, buffer) throws(HeadError) in try decoder.decode(&buffer)
        }
        let head = Self.compare(&input, { RequestHeadDecoder(limits: limits) }, decode)
        guard let head else { return }
        check(!head.method.isEmpty && head.target.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }, "a request line \(head)")
        check(head.fields.count <= limits.fieldCount, "\(head.fields.count) fields")
        var written = ByteBuffer()
        head.write(into: &written)
        var decoder = RequestHeadDecoder(limits: HeadLimits(lineBytes: 1 << 20, headBytes: 1 << 20))
        check((try? decoder.decode(&written)) == head, "what is written is another head than \(head)")
        Self.lookAt(head.fields)
        check(
            !"\(head)".isEmpty && head.originForm.utf8.count <= head.target.utf8.count + 1,
            "a path of \(head.originForm)"
        )
        if let checked = try? CheckedRequest(head) {
            let isPath = checked.path.hasPrefix("/") || ["CONNECT", "OPTIONS"].contains(head.method)
            check(isPath && checked.authority?.host.isEmpty != true, "\(head) is for \(checked.path)")
        }
        guard let request = try? OpeningServer.check(head, dialects: [.rfc6455, .hixie76, .hixie75]) else { return }
        var dumped = ""
        dump(request, to: &dumped)
        let login = request.authorization ?? ""
        // Of a value that the target or another field repeats, that one shows.
        let isElsewhere = "\(request.path)\(request.origin ?? "")\(request.head.fields)".contains(login)
        check(login.utf8.count < 9 || isElsewhere || !dumped.contains(login), "a dump shows Authorization")
        check(request.fields.count <= head.fields.count && request.method == head.method, "another request")
    }

    static let responseHeads = FuzzTarget(name: "response-heads") { seeds in
        let raw: [UInt8] = [
            0xF0, 0x9F, 0x98, 0x80, 0xF4, 0x8F, 0xBF, 0xBF, 0xFF, 0xEF, 0x8F, 0xBE, 0xF4, 0x90, 0x80, 0xF0,
        ]
        let bytes: [UInt8] = Array("HTTP/1.1 200 ".utf8) + raw + Array("\r\nX: ".utf8) + raw + Array("\r\n\r\n".utf8)
        return (seeds.heads(of: .server) + [bytes]).deciding([[0, 0], [0, 7], [1, 3]])
    } run: { input in
        var input = input
        let limits = Self.limits(&input)
        let decode: (inout ResponseHeadDecoder, inout ByteBuffer) throws(HeadError) -> ResponseHead? = {
            (decoder, buffer) throws(HeadError) in try decoder.decode(&buffer)
        }
        let head = Self.compare(&input, { ResponseHeadDecoder(limits: limits) }, decode)
        guard let head else { return }
        check((100...999).contains(head.status), "a status of \(head.status)")
        check(head.fields.count <= limits.fieldCount, "\(head.fields.count) fields")
        var written = ByteBuffer()
        head.write(into: &written)
        var decoder = ResponseHeadDecoder(limits: HeadLimits(lineBytes: 1 << 20, headBytes: 1 << 20))
        check((try? decoder.decode(&written)) == head, "what is written is another head than \(head)")
        Self.lookAt(head.fields)
    }

    private static func limits(_ input: inout FuzzInput) -> HeadLimits {
        input.flag() ? HeadLimits(lineBytes: 64, headBytes: 200, fieldCount: 3) : .opening
    }

    /// The result of a decoder over all the bytes.
    private enum Outcome<Head: Equatable>: Equatable {
        case head(Head, rest: [UInt8])
        case incomplete
        case failed(HeadError)
    }

    /// Decodes the content whole and in pieces; both have to be the same.
    private static func compare<Decoder, Head: Equatable>(
        _ input: inout FuzzInput,
        _ make: () -> Decoder,
        _ decode: (inout Decoder, inout ByteBuffer) throws(HeadError) -> Head?
    ) -> Head? {
        var cuts = input.cuts()
        let content = input.content
        func outcome(_ pieces: [ByteBuffer]) -> Outcome<Head> {
            var decoder = make()
            var taken = 0
            for piece in pieces {
                var piece = piece
                let count = piece.readableBytes
                do throws(HeadError) {
                    if let head = try decode(&decoder, &piece) {
                        taken += count - piece.readableBytes
                        return .head(head, rest: Array(content[taken...]))
                    }
                } catch {
                    do throws(HeadError) {
                        _ = try decode(&decoder, &piece)
                        check(false, "it goes on after \(error)")
                    } catch let again {
                        check(again == error, "\(error) becomes \(again)")
                    }
                    check([400, 414, 431, 505].contains(error.status), "a status of \(error.status)")
                    check(!error.message.isEmpty && error.message.utf8.count < 300, "a sentence of \(error.message)")
                    return .failed(error)
                }
                check(piece.readableBytes == 0, "it waits for more and leaves \(piece.readableBytes) bytes")
                taken += count
            }
            return .incomplete
        }
        let whole = outcome(content.isEmpty ? [] : [ByteBuffer(bytes: content)])
        let cut = outcome(cuts.pieces(of: content))
        check(whole == cut, "whole it is \(whole), in pieces \(cut)")
        guard case .head(let head, _) = whole else { return nil }
        return head
    }

    /// Asks fields all that the library asks them.
    private static func lookAt(_ fields: HeadFields) {
        _ = fields.contentLength
        _ = fields.httpFields
        _ = fields.hasToken("upgrade", in: "Connection")
        check(fields.list("Connection").allSatisfy { !$0.isEmpty }, "an empty element")
        var subprotocols: [String] = []
        if Subprotocols.parse(fields, into: &subprotocols) {
            check(Set(subprotocols).count == subprotocols.count, "a subprotocol comes twice")
            check(subprotocols.allSatisfy { Token.isToken($0) }, "a subprotocol is no token")
        }
        for name in ["Authorization", "Cookie", "Set-Cookie"] {
            for value in fields.all(name) where value.utf8.count > 8 && value.utf8.allSatisfy({ $0 > 0x60 }) {
                var others = HeadFields()
                fields.forEach { if $0.lowercased() != name.lowercased() { others.append($0, $1) } }
                guard !others.description.contains(value) else { continue }
                var dumped = ""
                dump(RequestHead(method: "GET", target: "/", fields: fields), to: &dumped)
                dump(fields, to: &dumped)
                check(!fields.description.contains(value) && !dumped.contains(value), "a description shows \(name)")
            }
        }
    }
}
