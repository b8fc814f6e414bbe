// HTTP heads (RFC 9112): the same at every cut, no more kept than the limits allow, and written as they were read.

import KHPProtocol
import NIOCore

extension FuzzTarget {
    static let requestHeads = FuzzTarget(name: "request-heads") { seeds in
        seeds.heads(of: .client).deciding([[0, 0], [0, 7], [1, 3]])
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
        _ = try? OpeningServer.check(head, dialects: [.rfc6455, .hixie76, .hixie75])
    }

    static let responseHeads = FuzzTarget(name: "response-heads") { seeds in
        seeds.heads(of: .server).deciding([[0, 0], [0, 7], [1, 3]])
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
                check(!fields.description.contains(value), "a description shows \(name)")
            }
        }
    }
}
