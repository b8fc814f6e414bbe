// A JSON Web Key Set (RFC 7517): public keys of an issuer, or secrets where nothing else is asked for.

/// The keys that tokens of a realm may be signed with.
struct KeySet: Sendable {
    struct Key: Sendable {
        /// `kid`
        var name: String?
        /// `alg`, where the set limits the key to one.
        var algorithm: String?
        var key: SignatureKey

        func fits(_ algorithm: SignatureAlgorithm) -> Bool {
            (self.algorithm ?? algorithm.rawValue) == algorithm.rawValue && self.key.fits(algorithm)
        }
    }

    var keys: [Key] = []

    /// The key of a token; `nil` where none or more than one could be meant.
    func key(named name: String?, for algorithm: SignatureAlgorithm) -> SignatureKey? {
        let fitting = self.keys.filter { $0.fits(algorithm) && (name == nil || $0.name == name) }
        return fitting.count == 1 ? fitting.first?.key : nil
    }

    // MARK: Reading

    /// Something about a key set, at its place.
    struct Remark: Equatable {
        var position: Position
        var isError: Bool
        var sentence: String
    }

    /// - Parameter algorithms: the allowed algorithms; keys for others are passed over.
    static func read(_ bytes: [UInt8], algorithms: [SignatureAlgorithm]) -> (set: KeySet, remarks: [Remark]) {
        var remarks: [Remark] = []
        let root: ParsedJSON
        do throws(JSONText.Failure) {
            root = try JSONText.read(bytes)
        } catch {
            return (KeySet(), [Remark(position: error.position, isError: true, sentence: error.sentence)])
        }
        guard let entries = root.object?["keys"]?.array else {
            return (
                KeySet(), [Remark(position: .start, isError: true, sentence: "has no member keys with a list of keys")]
            )
        }
        var set = KeySet()
        let takesSecrets = algorithms.contains(where: \.isSymmetric)
        for (index, entry) in entries.enumerated() {
            guard let object = entry.object else {
                remarks.append(Remark(position: .start, isError: true, sentence: "key \(index + 1) is no object"))
                continue
            }
            let name = object["kid"]?.string
            let title = name.map { "the key \($0.shown)" } ?? "key \(index + 1)"
            func remark(isError: Bool, _ sentence: String) {
                remarks.append(Remark(position: object.position, isError: isError, sentence: "\(title) \(sentence)"))
            }
            // Keys for encryption stand in the same sets.
            if let use = object["use"]?.string, use != "sig" { continue }
            if let operations = object["key_ops"]?.array, !operations.contains(.string("verify")) { continue }
            switch self.key(object) {
            case .key(let key):
                if key.isSecret, !takesSecrets {
                    remark(isError: true, "is a secret, and no HS algorithm is allowed")
                    continue
                }
                if !key.isSecret, object["d"] != nil {
                    remark(isError: false, "is a private one: the issuer's secret is here")
                }
                if case .rsa(let bits) = key.kind, bits < 2048 {
                    remark(isError: true, "is RSA of \(bits) bits; 2048 are the least")
                    continue
                }
                set.keys.append(Key(name: name, algorithm: object["alg"]?.string, key: key))
            case .unknown(let type): remark(isError: false, "is passed over: \(type) is not known here")
            case .invalid(let sentence): remark(isError: true, sentence)
            }
        }
        self.checkUse(of: set, algorithms, &remarks)
        return (set, remarks)
    }

    private static func checkUse(of set: KeySet, _ algorithms: [SignatureAlgorithm], _ remarks: inout [Remark]) {
        let unused = algorithms.filter { algorithm in !set.keys.contains { $0.fits(algorithm) } }
        if !unused.isEmpty {
            let isError = unused.count == algorithms.count
            let names = unused.map(\.rawValue).joined(separator: ", ")
            remarks.append(Remark(position: .start, isError: isError, sentence: "has no key for \(names)"))
        }
        let names = Dictionary(grouping: set.keys.compactMap(\.name), by: \.self).filter { $1.count > 1 }
        for name in names.keys.sorted() {
            remarks.append(Remark(position: .start, isError: false, sentence: "has several keys called \(name.shown)"))
        }
    }

    private enum Reading {
        case key(SignatureKey)
        case unknown(String)
        case invalid(String)
    }

    private static func key(_ object: ParsedObject) -> Reading {
        func bytes(_ name: String) -> [UInt8]? { object[name]?.string.flatMap { Base64Text.url($0.utf8) } }
        switch object["kty"]?.string {
        case "RSA":
            guard let n = bytes("n"), let e = bytes("e"), let key = SignatureKey.rsa(modulus: n, exponent: e) else {
                return .invalid("is no RSA key: n and e in base64url")
            }
            return .key(key)
        case "EC":
            let kind: SignatureKey.Kind
            switch object["crv"]?.string {
            case "P-256": kind = .p256
            case "P-384": kind = .p384
            case "P-521": kind = .p521
            case let other: return .unknown("the curve \(other?.shown ?? "of no name")")
            }
            guard let x = bytes("x"), let y = bytes("y"), let key = SignatureKey.curve(kind, x: x, y: y) else {
                return .invalid("is no point of its curve: x and y in base64url")
            }
            return .key(key)
        case "OKP":
            guard object["crv"]?.string == "Ed25519" else {
                return .unknown("the curve \(object["crv"]?.string?.shown ?? "of no name")")
            }
            guard let x = bytes("x"), let key = SignatureKey.ed25519(x) else {
                return .invalid("is no Ed25519 key: x of 32 bytes in base64url")
            }
            return .key(key)
        case "oct":
            guard let k = bytes("k"), !k.isEmpty else { return .invalid("is no secret: k in base64url") }
            return .key(.secret(k))
        case let other: return .unknown("the type \(other?.shown ?? "of no name")")
        }
    }
}
