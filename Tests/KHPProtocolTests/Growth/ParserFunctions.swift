// The functions that take text or bytes, by their types; behind the dash those outside of types. Whoever adds one looks
// whether the rows of its type (`ParserTable.rows`) cover it, in the shapes that cost most, and lists it here.

extension ParserTable {
    static let functions = libraryFunctions + "\n" + commandFunctions

    private static let libraryFunctions = """
        - choices constantTimeEquals parseAuthenticationParameters parseChallenges parseExtensions parseQuotedString
        - quoted setCookies splitTarget tokenOrQuoted
        AcceptKey accept isValidKey
        AcceptKey.Context digest
        AcceptValue init
        Acceptance init write
        AddressRange init
        Admission decide
        Agreement init write
        AnswerFault of
        ApplicationFields isReservedInAnswer validate
        AuthenticationGate init judge
        AuthenticationGate.Fault invalid
        AuthenticationGate.Verdict isWrong
        AuthenticationScheme custom
        Authenticator accepted answer authorization challenged failure offers
        Authenticator.Target init
        Authority init
        Base64 decode encode
        BasicChallengeHandler init
        BasicCredentials init matches
        BodyReader init receive
        BoundAddress start
        ByteBuffer writeField writeFieldText writeStreamField
        Bytes equal equalIgnoringCase isASCII lowercasedASCII trimmed withUTF8
        CallerFields init
        Castagnoli sum
        Challenge init isScheme subscript
        Challenge.Parameter init
        ChallengeDialogue begin init take
        ChallengeParser init
        ChallengeRequest init
        CheckedRequest init
        ClientAddressRule client
        ClientExchange receive send
        ClientHandshake challenge replay
        ClientHandshake.Challenged init
        ClientHandshake.Opening init
        ClientPlan opening
        ClientSession hasAgreed init
        ClientSession.Streams hasAgreed
        ClientTLS add init
        CloseInfo init
        ClosePayload init read write
        ClosingHandshake.Outcome init
        ConnectAttempt accepted authorization dialogue earlyCookies follow replay
        ConnectLoop answer take warnWithoutTLS
        ConnectPlace through
        ConnectTunnel answer init receive
        ConnectTunnel.Refusal init take
        Connection accept acceptOpening answerExtended askToRevalidate balanceOpening beginPlain close delivered fail
        Connection init join leave nextPlain observeClose pass peerClosed ping pong putBack receive refuseOpening
        Connection replayOpening reportFaultyAnswer send sendThroughExtensions timedOut write writeHandshakeMessage
        Connection writePing writePong
        ConnectionDelegate hasAgreed
        ConnectionField contains
        ConnectionHandler askToRevalidate close drive pongReceived sendMessage sendPing sendPong take
        ConnectionInfo init
        ContentBoundary init take
        Cookie defaultPath matches
        CookieDate parse
        CookieStore cookies set
        DecodedText init
        DeflateTransform inbound outbound
        Deflater run
        Dialect init
        DialectFrameWriter writeBinary writeClose writeText
        DigestAlgorithm hash init key
        DigestAuthorization exchange init require
        DigestChallenge init
        DigestConfirmation authenticationInfo
        DigestExchange init response responseAuthentication
        DigestKey make userHash
        DigestNonceOptions init
        DigestNonceSeal init read
        DigestProof check init
        DigestSession answer init take
        DigestVerifier claim init judge
        DispatchChallengeHandler register
        DispatchChallengeHandler.Registration matchesRealm
        DistinctNames append init
        Endpoint init
        Endpoint.Options init
        EndpointConfiguration.Values init
        EndpointPattern init match segments
        EndpointPlan openingSubprotocol
        EndpointSet endpoint match owns
        Entrance init
        EscapedControl message needsEscape receive
        EventLoopSocket askToRevalidate close ping pong send
        Explanation entity
        ExtendedClient authorize receive
        ExtendedClientPlan init writeRequest
        ExtendedRefusal badRequest init noRequest
        ExtendedRequest init
        ExtendedRequestCheck check
        ExtendedRequestReader receive
        ExtendedResponseCheck init
        ExtendedResponseCheck.Mismatch init
        ExtendedResponseReader init receive
        ExtendedResponseReader.Failure invalid
        ExtendedResult init
        ExtendedServer deadlineReached init receive receiveTooEarly respond
        ExtendedValue decode
        ExtensionOffer init
        ExtensionParameters append contains init subscript
        ExtensionParameters.Parameter init
        ExtensionScope answerPing close send
        ExtensionStack askToRevalidate encode inbound outbound receive
        FieldScanner init
        FieldText bytes readable string
        FieldValidation validate
        FormerCodec next write writeHandshake
        ForwardingField nodesFromLast
        FrameCodec hasBegunMessage next plain write writeHandshake writePing writePlain writePong
        FrameHeader read
        FrameInfo init
        FramePipeline pull push
        FrameTransform inbound outbound
        FrameViolation init violation
        FrameWriter write writeClose writePing writePong writeUnmasked
        GoAwayFinder look
        GrammarError init
        GroupShard add
        GroupShard.Place init
        HPACKHeaders add
        HTTPConversation respond write
        HTTPExchange respond
        HTTPExchange.Writer write
        HTTPExchangeError init
        HTTPField init
        HTTPFields texts
        HTTPHandler begin respond write
        HandshakeRequest init request
        HandshakeResponse challenge choices complete created init redirect refuse text write written
        HandshakeSummary init
        HeadCollector collect takeFields
        HeadFields == all append contains count first forEachValue hasToken init list value withFirst write
        HeadScanner scan unfolded
        Hexadecimal encode
        HixieCodec next write writeHandshake
        HixieFrameReader next
        HixieFrameWriter writeBinary writeClose writeText
        HixieKeys answer init number
        HixieResponse.Invalid init
        HixieResponse.Reader read
        Hop answer
        HopOutcome init
        Host addressBytes bracketed isAddress normalised spelled
        HostDoor begin
        HostIdentities identity init
        HostNames ask systemLookUp
        HostPolicy allowing
        HostResolver resolve
        HostWatch begin
        Inbox push
        Inflater run
        KaazingHTTPRevalidate.Request url
        KaazingHTTPRevalidate.Transform askToRevalidate inbound outbound
        KaazingLegacy init
        KaazingLegacyMessage balancing init isBalancer
        KaazingPingPong.Transform inbound outbound
        KeepAlive noteSent pongReceived
        KnownField init
        KnownFields init
        LegacyResponseReader init receive
        ListScanner init
        LocationPattern init
        LoginChallengeHandler init
        MessageAuthenticationCode isEqual make
        MessageChunk init
        MessageHandler pongReceived
        MessagePiece init
        MessageReader next plain
        MessageTransform askToRevalidate inbound outbound
        Method canBeginRequest
        NamedExtension init
        NegotiatedExtension init
        NoProxyRules init
        NonceMemory shared
        OpenSocket pinged
        OpeningClient receive
        OpeningClientPlan check init
        OpeningReplay init
        OpeningRequest init
        OpeningServer acceptance authority check isWebSocketRequest offersExtendedHandshake oldOpening receive
        OpeningServer receiveHead
        OpeningServer.Marks init
        OrdinaryRequests begin receive
        OrdinaryRequests.State refusal
        OrdinaryResponse begin init write
        Origin init
        OriginPolicy allowing
        OutboundQueue append
        OwnRequests contain
        PartialMessage append finish take text
        PasswordHash cost isSupported make verify
        PathParameters append require subscript
        PercentEncoding checked decoded decodedByte normalised
        PreemptiveCredentials init
        PreparedClient init
        PresentedCredentials init
        PresentedIdentifiers init
        Principal init
        Proxy authenticated init
        ProxyConnection answer
        ProxyHeader begins read
        ProxySelection authenticated environment proxy
        Publication init
        ReceivedMessage init
        Redaction head line redacted requestHead shown subprotocol subprotocols value
        RedirectMethod becomesGET isFollowed refusal
        RedirectTracker follow
        Refusal badRequest init methodNotAllowed misdirected notFound upgradeRequired write
        RequestAuthorization init
        RequestCookies init subscript
        RequestHead init write
        RequestHeadDecoder canBeginRequest decode
        RequestQuery init subscript values
        RequestTarget isPlainPath originForm resource
        ResponseHead init write
        ResponseHeadDecoder decode
        SecretName isSecret
        SecretName.Table contains init isWithin
        ServedEndpoint refusal reply
        ServedHTTP receive
        ServerAuthentication init
        ServerDecisions reply
        ServerExchange receive send
        ServerIdentity init
        ServerReply init
        ServerSession hasAgreed
        ServerState entrance hasAgreed logger takeOver
        ServerTLS replace
        SetCookie init
        SetCookie.Attribute init
        SharedConnection receive send
        SharedMessage init
        Socks4Tunnel receive
        Socks5Tunnel receive
        StartLine parseRequest parseStatus
        StatusAction action
        StreamCarrier init
        StreamExchange receive send
        StreamFault init
        StreamTarget init
        Subprotocols choose isName offered parse validate
        Subprotocols.Offer init read
        TLSInfo init of
        TextRepair repaired
        TextWriter write
        Token end isToken
        TokenChallengeHandler init
        TransportFailure tls
        TransportStep init
        TrustedPeers init
        Tunnel answer init receive
        TunnelFailure invalid refused
        TunnelHandler answer
        TunnelMachine answer receive
        URIReference init merge removingDotSegments
        UTF8Validator isValid validate
        UndecodableMessage decode
        UndecodedBytes init
        UsedMemory note
        UsersFile digest digestAlgorithms digestKey hasDigestKeys hasPassword init isRight user verify
        UsersFile.Line digest password token
        WHATWGCodec next write writeHandshake
        WHATWGFrameReader next
        WHATWGFrameWriter writeClose writeText
        WebSocket refuse sendAtOnce
        WebSocketClient connect run
        WebSocketError init
        WebSocketError.Code init
        WebSocketGroup add offer
        WebSocketGroup.Member subscribe unsubscribe
        WebSocketListener replaceTLS
        WebSocketMount owns takeOver
        WebSocketServer replaceTLS
        WebSocketURL init merging replacing resolving
        WholeFrame init
        WrittenResponse init
        """
}
