// The functions of the command and its gateway that take text or bytes, and which suite of theirs measures them.

extension ParserTable {
    static let commandSuites: [String: String] = [
        "AdminRequest": "KHPGatewayTests/GatewayGrowthTests",
        "Base64Text": "KHPGatewayTests/GatewayGrowthTests",
        "GroupsFile": "KHPGatewayTests/GatewayGrowthTests",
        "KeySet": "KHPGatewayTests/GatewayGrowthTests",
        "Ladder": "KHPCommandTests/ShownGrowthTests",
        "LadderDrawing": "KHPCommandTests/ShownGrowthTests",
        "Line": "KHPCommandTests/ShownGrowthTests",
        "LineSplitter": "KHPCommandTests/ShownGrowthTests",
        "Netrc": "KHPCommandTests/ShownGrowthTests",
        "OriginRule": "KHPGatewayTests/GatewayGrowthTests",
        "OutgoingFrames": "KHPGatewayTests/GatewayGrowthTests",
        "ShownText": "KHPCommandTests/ShownGrowthTests",
        "TerminalText": "KHPCommandTests/ShownGrowthTests",
        "TokenVerifier": "KHPGatewayTests/GatewayGrowthTests",
    ]

    static let commandExempt: [(reason: String, names: [String])] = [
        (
            "It is a part of what one of the suites of the command measures whole: a token, a file, a line of output.",
            [
                "ByteSize", "CharacterCut", "DER", "Duration", "Events", "Finding", "GatewayFile", "HostAndPort",
                "JSONObject", "JSONText", "JSONTree", "Key", "KeySet.Reading", "KeySet.Remark", "KnownNames",
                "LadderStep", "NearestName", "Netrc.Scanner", "ParsedObject", "Reading", "RealmVerifier", "SHA256",
                "Section", "ShownEntity", "SignatureKey", "SocketAddress", "SubstitutedText", "TimeText", "ValueType",
                "WebOrigin", "YAMLScalar",
                "YAMLText",
            ]
        ),
        (
            "It takes what the operator or the user of the command has written.",
            [
                "AccessOptions", "AdminAddress", "AdminClient", "AdminRoutes", "AlgorithmArgument",
                "AuthenticatedPath", "ByteCount", "ClientBootstrap", "CompressionTotals.Direction",
                "ConfigurationSurroundings", "ConnectCommand", "Console", "EndpointOptions", "EnvironmentRoots",
                "ExtensionArgument",
                "FieldArgument", "FileArgument", "GatewayCommand", "GatewayCommand.CheckDepth",
                "GatewayConfiguration.TrustedProxy",
                "GatewayControlCommand", "HostNameAnswer", "HostNames", "InteractiveCommand", "Khp", "LineEditor",
                "ListenOptions", "ListeningSocket.Failure", "Login", "LoginArgument", "NamedFiles", "Number", "PEM",
                "PathPattern", "Person", "PositiveCount", "PositiveSeconds", "ReachingOptions", "ReadinessNotice",
                "ReportingOptions", "Route", "SavedFile", "SavedLadder", "Seconds", "ServeCommand", "ServiceNames",
                "SessionFilter", "StandardInput", "SurroundedCommand", "TLSFiles", "TunnelAddress", "TunnelCommand",
                "TypedURL",
            ]
        ),
        (
            "It keeps, hands on or shows what others have read, and looks at none of it.",
            [
                "AdminClient.Answer", "BackendHealth", "BackendLink", "BackendPool", "BackendSide", "BackendSocket",
                "BackendStream", "BackendTaker", "Balance", "Capture", "ChatRoute.Names", "CommandFailure",
                "ConnectFailure", "ConnectionTrace", "DemoFailure", "DemoSteps", "DemoSteps.Expected", "FileFailure",
                "Gateway", "Gateway.ServiceStatus", "GatewayConfiguration", "GatewayConfiguration.Backend",
                "GatewayConfiguration.Claim", "GatewayConfiguration.Frames", "GatewayConfiguration.JWT",
                "GatewayConfiguration.Listener", "GatewayConfiguration.LoadCheck", "GatewayConfiguration.Pool",
                "GatewayConfiguration.Realm", "GatewayConfiguration.Service",
                "GatewayConfiguration.SubprotocolRoutes.Route", "GatewayConfiguration.TLS", "GatewayLog",
                "GatewayMaterials", "GatewayMetrics", "HandshakeCounts", "InputQueue", "LibraryLog", "LoadQuestions",
                "MemberLoads", "Metrics", "MetricsText", "MetricsText.Format", "OutgoingSource.Pending", "ReadMemory",
                "RedirectTurns", "RelaySession", "ReloadChanges.Names", "Revalidations", "RunningService", "Seat",
                "Secret", "ServiceDoor", "ServiceDraft", "ServiceGate", "ServicesInForce", "SessionEnd",
                "SessionFacts", "SessionPages.Page", "SessionRenewal", "StreamRelay", "StreamRelay.Closing", "Style",
                "TranscriptWriter", "UppercaseExtension.Transform", "WarningLog", "Watcher", "Wrong",
                "YAMLText.Failure",
            ]
        ),
    ]

    static let commandFunctions = """
        AccessOptions missing
        AdminAddress init
        AdminClient ask init
        AdminClient.Answer init
        AdminRequest fault init number
        AdminRoutes answer
        AlgorithmArgument init
        AuthenticatedPath init
        BackendHealth checked failed noted
        BackendLink init
        BackendPool choose failed take
        BackendSide send
        BackendSocket send
        BackendStream send
        BackendTaker backendSent
        Balance choose
        Base64Text any url
        ByteCount init
        ByteSize read
        Capture init
        CharacterCut missing whole
        ChatRoute.Names add
        ClientBootstrap connect
        CommandFailure init usage
        CompressionTotals.Direction words
        ConfigurationSurroundings init system
        ConnectCommand renderers
        ConnectFailure init
        ConnectionTrace refuses
        Console keepTyped setPrompt
        DER bitString integer sequence
        DemoFailure init
        DemoSteps note passed
        DemoSteps.Expected init
        Duration init
        EndpointOptions build
        EnvironmentRoots init
        Events made message object
        ExtensionArgument init
        FieldArgument init
        FileArgument bytes text
        FileFailure init
        Finding init
        Gateway backends drop makeServices override reloadFailed use
        Gateway.ServiceStatus state
        GatewayCommand renderers unknownDepth
        GatewayCommand.CheckDepth init
        GatewayConfiguration init listener pool realm service
        GatewayConfiguration.Backend init
        GatewayConfiguration.Claim init
        GatewayConfiguration.Frames usual
        GatewayConfiguration.JWT init
        GatewayConfiguration.Listener init
        GatewayConfiguration.LoadCheck init url
        GatewayConfiguration.Pool init
        GatewayConfiguration.Realm init
        GatewayConfiguration.Service init
        GatewayConfiguration.SubprotocolRoutes.Route init
        GatewayConfiguration.TLS init
        GatewayConfiguration.TrustedProxy init
        GatewayControlCommand renderers
        GatewayFile read
        GatewayLog init write writeSeldom
        GatewayMaterials init
        GatewayMetrics both
        GroupsFile read roles
        HandshakeCounts add
        HandshakeResponse conflict page wrong
        HostAndPort init
        HostNameAnswer init initiateAAAAQuery initiateAQuery
        InputQueue put putBack
        InteractiveCommand init
        JSONObject set
        JSONText read
        JSONTree init optional
        Key group groupOrNothing list listOrNothing named notYet value
        KeySet key read
        KeySet.Reading bytes
        KeySet.Remark remark
        Khp arguments parse run
        Ladder detail step
        LadderDrawing escaped html svg wrapped
        KnownNames contains init number
        LadderStep init
        LibraryLog subscript
        Line init
        LineEditor feed rendered
        LineSplitter feed
        ListenOptions address withoutBrackets
        ListeningSocket.Failure init
        LoadQuestions ask
        Login init
        LoginArgument init login
        MemberLoads init note
        Metrics handler
        MetricsText family histogram value
        MetricsText.Format init
        NamedFiles bytes
        NearestName nearest question
        Netrc entry init password
        Netrc.Scanner init value
        Number read
        OriginRule allows init
        OutgoingFrames forEach
        OutgoingSource.Pending init putBack
        PEM certificates checkPair key
        ParsedObject subscript
        PathPattern init
        Person ask init
        PositiveCount init
        PositiveSeconds init
        ProxyHeader crc32c
        ReachingOptions typedURL
        ReadMemory noteFull
        ReadinessNotice init ready
        Reading doubt error hasErrors init isDoubtful isPlain isWritten note path position readFile text warning
        RealmVerifier principal
        RedirectTurns init next
        RelaySession backendSent
        ReloadChanges.Names list
        ReportingOptions renderers
        Revalidations name path remove use
        Route init isPath
        RunningService denial endpoint judgeEarly refusal
        SHA256 hash
        SavedFile init write
        SavedLadder init
        Seat init
        Seconds init
        Secret init
        Section join read rows
        ServeCommand renderers
        ServiceDoor tell
        ServiceDraft finish
        ServiceGate enter leave
        ServiceNames add name
        ServicesInForce use
        SessionEnd backendBroke backendReset init timer
        SessionFacts init
        SessionFilter init
        SessionPages.Page init
        SessionRenewal init
        ShownEntity of
        ShownText init
        SignatureKey curve ed25519 rsa secret verifies
        SocketAddress unmapped
        StandardInput editLines
        StreamRelay endpoint init
        StreamRelay.Closing init
        Style callAsFunction init
        SubstitutedText init
        SurroundedCommand renderers
        TLSFiles client server
        TerminalText escaped hex preview shown
        TimeText read
        TokenVerifier principal
        TranscriptWriter init
        TunnelAddress init
        TunnelCommand renderers
        TypedURL init
        UppercaseExtension.Transform outbound
        ValueType init reference text token
        WarningLog sentence subscript
        Watcher note
        WebOrigin init
        Wrong init
        YAMLScalar quoted
        YAMLText read
        YAMLText.Failure init
        """
}
