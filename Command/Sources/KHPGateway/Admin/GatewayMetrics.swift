// The metrics of a gateway. Labels are names of the configuration and closed lists: no client makes a series.

import KHPServer
import NIOCore

struct GatewayMetrics: Sendable {
    let text: String

    init(_ gateway: Gateway, as format: MetricsText.Format = .prometheus) async {
        let status = await gateway.status()
        let handshakes = gateway.handshakes.snapshot
        var metrics = MetricsText(format)
        Self.gateway(status, gateway.started, &metrics)
        metrics.family(
            "khp_tls_certificate_expiry_timestamp_seconds",
            .gauge,
            "The end of a listener's certificate, in seconds since 1970.",
            await gateway.materials.certificateEnds.sorted { $0.key < $1.key }.map {
                ([("listener", $0.key)], Double($0.value))
            }
        )
        Self.listeners(status, handshakes, &metrics)
        Self.handshakes(handshakes, &metrics)
        Self.revalidations(gateway.revalidations.counts, &metrics)
        Self.sessions(status.services, &metrics)
        Self.traffic(status.services, &metrics)
        Self.pools(status.pools, &metrics)
        ProcessMetrics.write(to: &metrics)
        self.text = metrics.finished
    }

    private static func gateway(_ status: Gateway.Status, _ started: Timestamp, _ metrics: inout MetricsText) {
        let build: [(MetricsText.Labels, Double)] = [([("version", Release.version), ("swift", "6")], 1)]
        metrics.family("khp_gateway_build_info", .gauge, "The version that runs.", build)
        metrics.value("khp_gateway_start_time_seconds", .gauge, "The start, in seconds since 1970.", started.seconds)
        metrics.value(
            "khp_gateway_config_last_reload_successful",
            .gauge,
            "1 where the last reload was taken.",
            status.reloadSucceeded ? 1 : 0
        )
        metrics.value(
            "khp_gateway_config_last_reload_success_timestamp_seconds",
            .gauge,
            "The last reload that was taken, in seconds since 1970.",
            status.loaded.seconds
        )
        metrics.family(
            "khp_gateway_config_hash_info",
            .gauge,
            "The configuration in force.",
            [([("sha256", status.hash)], 1)]
        )
        metrics.value(
            "khp_gateway_draining",
            .gauge,
            "1 while clients are sent away.",
            status.phase == .serving ? 0 : 1
        )
    }

    private static func listeners(
        _ status: Gateway.Status,
        _ handshakes: HandshakeCounts.State,
        _ metrics: inout MetricsText
    ) {
        let counts = status.listenerCounts
        metrics.family(
            "khp_listener_connections",
            .gauge,
            "Connections that have come in by a listener and are there.",
            counts.map { ([("listener", $0.name)], Double($0.counts.connections)) }
        )
        metrics.family(
            "khp_listener_connections_total",
            .counter,
            "Connections that a listener has taken.",
            counts.map { ([("listener", $0.name)], Double($0.counts.accepted)) }
        )
        metrics.family(
            "khp_listener_rejected_total",
            .counter,
            "Connections that a listener has turned away.",
            counts.flatMap { listener -> [(MetricsText.Labels, Double)] in
                let failed = handshakes.tls[.init(listener: listener.name, version: nil)] ?? 0
                let reasons = [
                    ("limit", listener.counts.refused), ("proxy-header", listener.counts.withoutProxyHeader),
                    ("tls", failed), ("untrusted", listener.counts.untrusted),
                    ("draining", listener.counts.draining),
                ]
                return reasons.map { ([("listener", listener.name), ("reason", $0.0)], Double($0.1)) }
            }
        )
        metrics.family(
            "khp_tls_handshakes_total",
            .counter,
            "TLS handshakes of a listener; failed are also those of a peer that only looked for an open port.",
            handshakes.tls.map { key, count in
                let labels: MetricsText.Labels = [
                    ("listener", key.listener), ("version", key.version ?? ""),
                    ("result", key.version == nil ? "failed" : "ok"),
                ]
                return (labels, Double(count))
            }.sorted(by: Self.precedes)
        )
    }

    private static func handshakes(_ state: HandshakeCounts.State, _ metrics: inout MetricsText) {
        metrics.family(
            "khp_handshakes_total",
            .counter,
            "Answers of handshakes; no service where a path is nobody's.",
            state.handshakes.map { key, count in
                (
                    [("service", key.service), ("layer", key.layer), ("status", "\(key.status)")] as MetricsText.Labels,
                    Double(count)
                )
            }.sorted(by: Self.precedes)
        )
        metrics.histogram(
            "khp_handshake_duration_seconds",
            "From the accepted connection to the answer that lets in.",
            bounds: Durations.bounds,
            state.times.sorted { $0.key < $1.key }.map { service, times in times.distribution([("service", service)]) }
        )
        metrics.family(
            "khp_auth_total",
            .counter,
            "Proofs that clients have given.",
            state.proofs.map { key, count in
                let labels: MetricsText.Labels = [("realm", key.realm), ("scheme", key.scheme), ("result", key.result)]
                return (labels, Double(count))
            }.sorted(by: Self.precedes)
        )
        metrics.family(
            "khp_authorization_denied_total",
            .counter,
            "Clients that were known and not let in.",
            state.denials.map { key, count in
                ([("service", key.service), ("reason", key.reason)] as MetricsText.Labels, Double(count))
            }.sorted(by: Self.precedes)
        )
    }

    private static func revalidations(_ counts: [Revalidations.Key: Int], _ metrics: inout MetricsText) {
        metrics.family(
            "khp_revalidations_total",
            .counter,
            "Clients of open sessions that were to prove anew who they are, by what came of it.",
            counts.map { key, count in
                ([("service", key.service), ("result", key.outcome.rawValue)] as MetricsText.Labels, Double(count))
            }.sorted(by: Self.precedes)
        )
    }

    /// The order of samples in a family: that of the values of their labels.
    private static func precedes(_ a: (MetricsText.Labels, Double), _ b: (MetricsText.Labels, Double)) -> Bool {
        a.0.map(\.1).lexicographicallyPrecedes(b.0.map(\.1))
    }

    /// One sample for each service.
    private static func each(
        _ services: [Gateway.ServiceStatus],
        _ value: (Gateway.ServiceStatus) -> Double
    ) -> [(MetricsText.Labels, Double)] {
        services.map { ([("service", $0.rules.name)], value($0)) }
    }

    private static func sessions(_ services: [Gateway.ServiceStatus], _ metrics: inout MetricsText) {
        metrics.family(
            "khp_sessions",
            .gauge,
            "Sessions that are open.",
            Self.each(services) { Double($0.totals.open) }
        )
        metrics.family(
            "khp_sessions_total",
            .counter,
            "Sessions that have opened.",
            Self.each(services) { Double($0.totals.opened) }
        )
        metrics.histogram(
            "khp_session_duration_seconds",
            "How long sessions lasted that are over.",
            bounds: ServiceTotals.durations,
            services.map { service in
                MetricsText.Distribution(
                    labels: [("service", service.rules.name)],
                    counts: service.totals.durations,
                    all: service.totals.ended.values.reduce(0, +),
                    sum: service.totals.duration
                )
            }
        )
        metrics.family(
            "khp_sessions_ended_total",
            .counter,
            "Sessions that are over, by who ended them and why.",
            services.flatMap { service in
                service.totals.ended.map { key, count in
                    let labels: MetricsText.Labels = [
                        ("service", service.rules.name), ("by", key.party.rawValue), ("cause", key.cause.rawValue),
                    ]
                    return (labels, Double(count))
                }.sorted(by: Self.precedes)
            }
        )
        metrics.family(
            "khp_redirects_total",
            .counter,
            "Clients that were sent to another gateway.",
            services.flatMap { service in
                service.redirects.sorted { $0.key < $1.key }.map { member, count in
                    ([("service", service.rules.name), ("member", member)] as MetricsText.Labels, Double(count))
                }
            }
        )
        metrics.family(
            "khp_session_limit_hits_total",
            .counter,
            "Clients that met a bound of the service.",
            services.flatMap { service in
                ServiceGate.Limit.allCases.map { limit in
                    let labels: MetricsText.Labels = [("service", service.rules.name), ("limit", limit.rawValue)]
                    return (labels, Double(service.hits[limit] ?? 0))
                }
            }
        )
    }

    private static func traffic(_ services: [Gateway.ServiceStatus], _ metrics: inout MetricsText) {
        func both(_ label: String, _ sides: [(String, (ServiceTotals) -> Double)]) -> [(MetricsText.Labels, Double)] {
            services.flatMap { service in
                sides.map { side in
                    ([("service", service.rules.name), (label, side.0)] as MetricsText.Labels, side.1(service.totals))
                }
            }
        }
        metrics.family(
            "khp_messages_total",
            .counter,
            "Messages from clients and to them.",
            both("direction", [("in", { Double($0.tally.inMessages) }), ("out", { Double($0.tally.outMessages) })])
        )
        metrics.family(
            "khp_bytes_total",
            .counter,
            "Bytes of messages from clients and to them.",
            both("direction", [("in", { Double($0.tally.inBytes) }), ("out", { Double($0.tally.outBytes) })])
        )
        metrics.family(
            "khp_buffered_bytes",
            .gauge,
            "Bytes that wait in sessions.",
            Self.each(services) { Double($0.totals.buffered) }
        )
        metrics.family(
            "khp_paused_reads_total",
            .counter,
            "How often a side was not read, since the other did not keep up.",
            both("side", [("client", { Double($0.clientPauses) }), ("backend", { Double($0.backendPauses) })])
        )
        metrics.family(
            "khp_paused_seconds_total",
            .counter,
            "How long a side was not read.",
            both(
                "side",
                [
                    ("client", { Double($0.clientPaused.nanoseconds) / 1e9 }),
                    ("backend", { Double($0.backendPaused.nanoseconds) / 1e9 }),
                ]
            )
        )
        let stalls: [(String, SessionEnd.Cause)] = [("client", .clientStalled), ("backend", .backendStalled)]
        metrics.family(
            "khp_stalled_total",
            .counter,
            "Sessions that ended since one side took nothing.",
            both(
                "side",
                stalls.map { side, cause in
                    (side, { totals in Double(totals.ended[EndKey(party: .gateway, cause: cause)] ?? 0) })
                }
            )
        )
    }

    private static func pools(
        _ pools: [(name: String, backends: [Gateway.BackendStatus])],
        _ metrics: inout MetricsText
    ) {
        func each(_ values: (Gateway.BackendStatus) -> [(MetricsText.Labels, Double)]) -> [(MetricsText.Labels, Double)]
        {
            pools.flatMap { pool in
                pool.backends.flatMap { backend in
                    values(backend).map { ([("pool", pool.name), ("backend", backend.url)] + $0.0, $0.1) }
                }
            }
        }
        metrics.family(
            "khp_backend_up",
            .gauge,
            "1 where a backend can be chosen.",
            each { [([], $0.state == .up ? 1 : 0)] }
        )
        metrics.family(
            "khp_backend_state",
            .gauge,
            "1 for the state that a backend is in.",
            each { backend in
                BackendHealth.State.allCases.map { ([("state", $0.rawValue)], $0 == backend.state ? 1 : 0) }
            }
        )
        metrics.family(
            "khp_backend_connections",
            .gauge,
            "Connections to a backend.",
            each { [([], Double($0.connections))] }
        )
        metrics.family(
            "khp_backend_connects_total",
            .counter,
            "Connects for clients, by their result.",
            each { $0.counts.connects.sorted { $0.key < $1.key }.map { ([("result", $0.key)], Double($0.value)) } }
        )
        metrics.histogram(
            "khp_backend_connect_duration_seconds",
            "From the choice of a backend to its connection, TLS and a WebSocket's handshake included.",
            bounds: Durations.bounds,
            pools.map { pool in
                var times = Durations()
                for backend in pool.backends { times += backend.counts.connectTimes }
                return times.distribution([("pool", pool.name)])
            }
        )
        metrics.family(
            "khp_backend_checks_total",
            .counter,
            "Checks of backends, by their result.",
            each { $0.counts.checks.sorted { $0.key < $1.key }.map { ([("result", $0.key)], Double($0.value)) } }
        )
        metrics.family(
            "khp_backend_ejections_total",
            .counter,
            "How often a backend was left out, since clients' connections failed.",
            each { [([], Double($0.counts.health.allEjections))] }
        )
    }
}
