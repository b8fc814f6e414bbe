// The file that `khp gateway --example` writes: a gateway that somebody could run, each part with a word about it. A test
// reads it with the table of keys.

extension GatewayConfiguration {
    package static let example = #"""
        # gateway.yaml, for `khp gateway --config gateway.yaml`; `--check` reads it and says what is wrong.
        # Paths are relative to this file. ${NAME}, ${NAME:-default} and ${file:PATH} stand for a variable or a file.
        version: 1
        instance: ${HOSTNAME:-gateway-1}      # its name in logs and metrics

        listeners:                            # where clients connect
          public:
            listen: 0.0.0.0:8443              # HOST:PORT, [V6]:PORT or unix:PATH
            publicURL: wss://gw.example.com   # how clients call it; for redirects
            tls:
              certificate: tls/fullchain.pem  # read again on SIGHUP
              key: tls/key.pem
              clientAuth: optional            # none, optional or required
              clientCA: tls/clients-ca.pem
              minimum: "1.2"
            connections: 20000
          behind-haproxy:
            listen: 127.0.0.1:8080
            publicURL: wss://gw.example.com
            trust: [127.0.0.1, 10.1.0.0/16]   # only these are believed about addresses
            proxyProtocol: required           # off or required: a PROXY header, v1 or v2
            forwarded: off                    # off, x-forwarded-for or forwarded

        admin:                                # health, metrics, sessions; for operators
          listen: unix:admin.sock             # or 127.0.0.1:9090; any other host needs tls and token
          # token: ${file:admin.token}

        log: {format: json, level: info, sessions: true}

        realms:                               # how clients prove who they are
          staff:
            schemes: [digest, basic]
            users: staff.users                # `khp hash` makes its lines
            groups: staff.groups              # ops: joe ann
            nonceKeys: nonce.keys             # the same file on all gateways
            wrongAnswers: {perAddress: 100, window: 60s}
          apps:
            schemes: [bearer]
            token: [header, cookie:access_token]
            jwt:
              keys: jwks.json
              algorithms: [ES256, RS256]
              issuer: https://id.example.com/
              audience: [khp]
              principal: sub                  # the claim that names the client
              roles: realm_access.roles       # a claim, or a path into one
              leeway: 30s
              onExpiry: close                 # close, revalidate (asks for another token) or ignore
          devices:
            certificate: {principal: san-uri, strip: "urn:device:", roles: device.groups}

        pools:                                # the brokers
          rabbit:
            backends:
              - tls://mq1.internal:5671
              - tls://mq2.internal:5671 weight=2
              - tls://mq9.internal:5671 backup
            tls: {ca: tls/internal-ca.pem, certificate: tls/gateway.pem, key: tls/gateway.key}
            balance: least-connections        # round-robin, source-hash or principal-hash
            check: {every: 5s, timeout: 2s, rise: 2, fall: 3, send: "AMQP\x00\x00\x09\x01", expect: "\x01"}
            eject: {failures: 5, for: 30s, atMost: 50%}
            connectTimeout: 5s
            proxyProtocol: v2                 # off, v1 or v2
            connections: 5000                 # to each backend
          mosquitto: {backends: tcp://127.0.0.1:1883}
          nats: {backends: [tcp://nats1:4222, tcp://nats2:4222], check: {every: 5s, expect: "INFO "}}
          redis: {backends: unix:/run/redis/redis.sock}
          xmpp: {backends: ws://127.0.0.1:5280/xmpp-websocket}

        defaults:                             # for each service that does not say otherwise
          listeners: [public]
          origins: [https://app.example.com, "https://*.example.org"]
          extended: optional                  # the extended handshake: off, optional or required
          ping: {every: 20s, timeout: 20s}
          idle: off
          maxLifetime: off
          buffer: 64KiB                       # each way; reading stops above it and goes on below half
          stalled: 30s                        # ends a session that takes nothing for so long
          limits: {sessions: 10000, perAddress: 200, perPrincipal: 20, acceptRate: 500/s, message: 1MiB}

        services:                             # what clients find
          amqp:
            path: /amqp
            realm: apps
            require: {roles: [trader, ops], claims: {tenant: acme}}   # any of the roles, all of the claims
            pool: rabbit
            frames: binary                    # binary, text or auto
          messaging:                          # the subprotocol decides
            path: /ws
            realm: [devices, apps]            # the first that proves something
            subprotocols:
              mqtt: {pool: mosquitto}
              mqttv3.1: {pool: mosquitto}
              nats: {pool: nats, require: {roles: [service]}}
            withoutSubprotocol: refuse        # or a pool
          cache:
            path: /redis
            listeners: [public, behind-haproxy]
            realm: staff
            require: {roles: [ops], networks: [10.0.0.0/8]}
            pool: redis
            halfClose: 2s                     # for answers to a client that has closed
          chat:
            path: /chat
            realm: apps
            subprotocols: {xmpp: {pool: xmpp}}   # with a pool alone, a ws backend chooses
            origins: [https://chat.example.com]
            idle: 30m
          spread:
            path: /amqp-any
            realm: apps
            balance:                          # sends each client to one of these
              members: [wss://gw1.example.com/amqp, wss://gw2.example.com/amqp]
              by: round-robin
          echo: {path: /echo, realm: staff, type: echo, limits: {sessions: 10}}

        reload: {onRemove: drain}             # sessions of a service that is gone: drain, close or keep
        shutdown: {announce: 5s, drain: 60s}
        """# + "\n"
}
