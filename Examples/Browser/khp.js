// The extended handshake on a browser's own WebSocket: a request and a response inside messages, before the application
// sees the socket. What a status means is the table of Specs/status-codes.json.

const SUBPROTOCOL = "x-kaazing-handshake";

/** Why a connect failed. `status` is that of the response, where there was one. */
export class HandshakeError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * Opens a WebSocket; resolves once it is open for the application.
 *
 * options.protocols   subprotocols of the application, most preferred first
 * options.extensions  names (with parameters) to ask for inside; apply what `extensions` of the result tells
 * options.login       async ({ url, scheme, realm, round }) => ({ user, password }), or null to give up
 * options.redirects   how many to follow (5)
 * options.timeout     milliseconds for each handshake, persons not counted (10000)
 * options.onStep      called with a line for each step
 *
 * Resolves to { socket, url, status, protocol, extensions, redirects, challenges }. Set socket.onmessage at once.
 */
export async function connect(url, options = {}) {
  const seen = new Set();
  const limit = options.redirects ?? 5;
  let challenges = 0;
  for (let redirects = 0; ; redirects += 1) {
    seen.add(new URL(url).href);
    const outcome = await new Attempt(url, options, challenges).run();
    challenges = outcome.challenges;
    if (!outcome.location) return { ...outcome, url, redirects };
    const next = new URL(outcome.location, url);
    next.protocol = next.protocol.replace(/^http/, "ws");
    next.hash = "";
    if (redirects === limit) throw new HandshakeError(`more than ${limit} redirects`, outcome.status);
    if (seen.has(next.href)) throw new HandshakeError(`a redirect loop at ${next.href}`, outcome.status);
    if (!/^wss?:$/.test(next.protocol)) throw new HandshakeError(`a redirect to ${next.protocol}`, outcome.status);
    if (new URL(url).protocol === "wss:" && next.protocol === "ws:") {
      throw new HandshakeError("a redirect that would leave TLS", outcome.status);
    }
    options.onStep?.(`redirect ${outcome.status} to ${next.href}`);
    url = next.href;
  }
}

/** One WebSocket and its handshakes. */
class Attempt {
  constructor(url, options, challenges) {
    this.url = url;
    this.options = options;
    this.challenges = challenges;
    this.refused = new Set();
  }

  run() {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(this.url, [SUBPROTOCOL, ...(this.options.protocols ?? [])]);
      socket.binaryType = "arraybuffer";
      this.socket = socket;
      const finish = (settle, value) => {
        clearTimeout(this.timer);
        socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
        settle(value);
      };
      this.succeed = (outcome) => finish(resolve, { challenges: this.challenges, ...outcome });
      this.fail = (message, status) => {
        if (socket.readyState < WebSocket.CLOSING) socket.close(1000);
        finish(reject, new HandshakeError(message, status));
      };
      this.startTimer();
      socket.onopen = () => this.opened();
      socket.onmessage = (event) => this.received(event.data).catch((error) => this.fail(error.message, error.status));
      socket.onclose = (event) => this.fail(`the connection closed (${event.code}) during the handshake`);
    });
  }

  startTimer() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fail("the handshake took too long"), this.options.timeout ?? 10000);
  }

  opened() {
    if (this.socket.protocol !== SUBPROTOCOL) {
      this.succeed({ socket: this.socket, status: null, protocol: this.socket.protocol, extensions: [] });
      return;
    }
    this.options.onStep?.("opening handshake complete, extended handshake begins");
    this.send();
  }

  /** The extended request; nothing else may be sent before its answer completes the handshake. */
  send(authorization) {
    const url = new URL(this.url);
    let head = `GET ${url.pathname}${url.search} HTTP/1.1\r\n`;
    const { protocols = [], extensions = [] } = this.options;
    if (protocols.length) head += `Sec-WebSocket-Protocol: ${protocols.join(", ")}\r\n`;
    if (extensions.length) head += `Sec-WebSocket-Extensions: ${extensions.join(", ")}\r\n`;
    if (authorization) head += `Authorization: ${authorization}\r\n`;
    this.text = "";
    this.socket.send(head + "\r\n");
  }

  /** A response, or a piece of one. */
  async received(data) {
    this.text += typeof data === "string" ? data : new TextDecoder().decode(data);
    const end = this.text.indexOf("\r\n\r\n");
    if (end < 0) return;
    const [first, ...lines] = this.text.slice(0, end).split("\r\n");
    const status = Number(/^HTTP\/1\.1 (\d{3})( |$)/.exec(first)?.[1]);
    if (!status) throw new HandshakeError(`no HTTP response: ${first.slice(0, 40)}`);
    const fields = lines.map((line) => /^([^:]+):[ \t]*(.*?)[ \t]*$/.exec(line)).filter(Boolean);
    const all = (name) => fields.filter((field) => field[1].toLowerCase() === name).map((field) => field[2]);
    const entity = this.text.slice(end + 4);
    if (new TextEncoder().encode(entity).length < Number(all("content-length")[0] ?? 0)) return;
    this.options.onStep?.(`extended response ${status}`);
    await this.act(status, all, entity);
  }

  /** The status table. */
  async act(status, all, entity) {
    switch (status) {
      case 101:
      case 201:
      case 204:
      case 205: {
        const extensions = all("sec-websocket-extensions").join(", ");
        const asked = (this.options.extensions ?? []).map((extension) => extension.split(";")[0].trim());
        const granted = extensions ? extensions.split(",").map((extension) => extension.trim()) : [];
        if (granted.some((extension) => !asked.includes(extension.split(";")[0].trim()))) {
          throw new HandshakeError("an extension that was not asked for", status);
        }
        const protocol = all("sec-websocket-protocol")[0] ?? "";
        if (protocol && !(this.options.protocols ?? []).includes(protocol)) {
          throw new HandshakeError("a subprotocol that was not asked for", status);
        }
        this.succeed({ socket: this.socket, status, protocol, extensions: granted, entity });
        return;
      }
      case 202:
        this.text = "";
        return;
      case 300:
      case 301:
      case 302:
      case 303:
      case 307: {
        const location = all("location")[0];
        if (!location) throw new HandshakeError(`${status} without Location`, status);
        this.socket.close(1000);
        this.succeed({ status, location });
        return;
      }
      case 401:
        await this.challenged(all("www-authenticate"));
        return;
      default:
        this.fail(entity.trim() || `refused with ${status}`, status);
    }
  }

  /** Asks a person and sends the request once more, on the same socket. */
  async challenged(challenges) {
    const basic = challenges.map((text) => /^(?:Application )?Basic (?:.*, *)?realm="((?:[^"\\]|\\.)*)"/i.exec(text)).find(Boolean);
    this.challenges += 1;
    if (!basic || !this.options.login || this.challenges > 4) {
      this.fail("the server asks for credentials, and there are none", 401);
      return;
    }
    clearTimeout(this.timer);
    const realm = basic[1].replace(/\\(.)/g, "$1");
    const round = this.challenges;
    const answer = await this.options.login({ url: this.url, scheme: "Basic", realm, round });
    if (this.socket.readyState !== WebSocket.OPEN) return;
    const pair = answer && `${answer.user}:${answer.password}`;
    if (!answer || this.refused.has(pair)) {
      this.fail("the credentials were refused, or none were given", 401);
      return;
    }
    this.refused.add(pair);
    this.startTimer();
    this.send(`Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(pair)))}`);
  }
}
