/**
 * The opening handshake of WebSocket, for both ends, without its IO (RFC 6455 4, protocol reference 2.1 and 2.3).
 *
 * The hash stays outside, because it is asynchronous on the web: the accept value is the base64 of the SHA-1 of
 * `acceptInput(key)`.
 */
import { ProtocolError } from "./ProtocolError.ts"

/** The text whose SHA-1, in base64, answers this `Sec-WebSocket-Key` (RFC 6455 4.2.2). */
export const acceptInput = (key: string): string => `${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`

/**
 * The headers of a request, in lower case. `key` is the base64 of 16 random bytes. The subprotocols go into one header
 * line, most wanted first, because API servers look at the first line only; API servers must be offered one at least,
 * because they answer a request without any by an empty header that names none.
 *
 * @example
 * ```ts
 * import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
 * import * as WebSocketHandshake from "@effect-k8s/channels/protocol/WebSocketHandshake"
 *
 * const headers = WebSocketHandshake.requestHeaders("AAAAAAAAAAAAAAAAAAAAAA==", [RemoteCommand.v5, RemoteCommand.v4])
 * headers["sec-websocket-protocol"] // => "v5.channel.k8s.io, v4.channel.k8s.io"
 * ```
 */
export const requestHeaders = (
  key: string,
  subprotocols: ReadonlyArray<string>
): Readonly<Record<string, string>> => ({
  "connection": "Upgrade",
  "upgrade": "websocket",
  "sec-websocket-key": key,
  "sec-websocket-version": "13",
  ...(subprotocols.length === 0 ? {} : { "sec-websocket-protocol": subprotocols.join(", ") })
})

/** The head of an answer. */
export interface Response {
  readonly status: number
  /** Names in lower case, repeated headers joined by ", ". */
  readonly headers: Readonly<Record<string, string | undefined>>
}

/** What the request asked for. */
export interface Expected {
  /** The accept value that belongs to the key sent. */
  readonly accept: string
  readonly subprotocols: ReadonlyArray<string>
}

/** The server speaks WebSocket, and one of the subprotocols offered. */
export interface Accepted {
  readonly _tag: "Accepted"
  /** `undefined` only if none was offered. */
  readonly subprotocol: string | undefined
}

/** The answer is none to this request. */
export interface Rejected {
  readonly _tag: "Rejected"
  readonly error: ProtocolError
}

const rejected = (message: string): Rejected => ({ _tag: "Rejected", error: new ProtocolError(1002, message) })

/**
 * Checks a `101 Switching Protocols` (RFC 6455 4.1). An empty `Sec-WebSocket-Protocol` counts as none. None chosen
 * although some were offered is a rejection, as for browsers: nothing could be said on such a connection.
 */
export const checkResponse = (response: Response, expected: Expected): Accepted | Rejected => {
  const { headers, status } = response
  if (status !== 101) return rejected(`The server answered the upgrade with ${status} instead of 101`)
  const upgrade = headers["upgrade"]
  if (upgrade?.trim().toLowerCase() !== "websocket") {
    return rejected(`The server switched to ${quote(upgrade)} instead of WebSocket (header Upgrade)`)
  }
  if (!tokens(headers["connection"]).some(isUpgrade)) {
    return rejected(
      `The server's 101 has ${quote(headers["connection"])} as Connection instead of Upgrade; ` +
        "a proxy between may have removed it"
    )
  }
  const accept = headers["sec-websocket-accept"]
  if (accept?.trim() !== expected.accept) {
    return rejected(
      `The server's Sec-WebSocket-Accept is ${quote(accept)}, which does not answer the key of this request; ` +
        "a cache or proxy between may have answered"
    )
  }
  const extensions = headers["sec-websocket-extensions"]?.trim() ?? ""
  if (extensions !== "") return rejected(`The server chose the extension ${quote(extensions)}, but none was offered`)
  const chosen = headers["sec-websocket-protocol"]?.trim() ?? ""
  const offered = expected.subprotocols.map(quote).join(", ")
  if (chosen === "") {
    return expected.subprotocols.length === 0
      ? { _tag: "Accepted", subprotocol: undefined }
      : rejected(`The server chose none of the subprotocols offered: ${offered}`)
  }
  return expected.subprotocols.includes(chosen)
    ? { _tag: "Accepted", subprotocol: chosen }
    : rejected(`The server chose the subprotocol ${quote(chosen)}, which was not offered (${offered || "none was"})`)
}

/** The head of a request. Header names are in lower case; the values of repeated headers are kept apart. */
export interface Request {
  readonly method: string
  readonly headers: ReadonlyMap<string, ReadonlyArray<string>>
}

/** A request to open a WebSocket. */
export interface Opening {
  readonly _tag: "Opening"
  readonly key: string
  /** In the client's order. Servers look at the first header line only. */
  readonly subprotocols: ReadonlyArray<string>
}

/** The answer to a request that opens no WebSocket. The connection is closed after it. */
export interface Refusal {
  readonly _tag: "Refusal"
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const refusal = (status: number, body: string, headers: Readonly<Record<string, string>> = {}): Refusal => ({
  _tag: "Refusal",
  status,
  headers,
  body
})

/** Whether a request asks for a WebSocket, rightly or not; other upgrades and plain requests are not for this module. */
export const isUpgradeRequest = (request: Request): boolean =>
  first(request, "upgrade")?.toLowerCase() === "websocket" &&
  tokens(request.headers.get("connection")?.join(",")).some(isUpgrade)

/**
 * Reads a request, and refuses what servers refuse: any method but GET with 405, a wrong version, a missing or bad key
 * and anything that is no upgrade to WebSocket with 400.
 */
export const parseRequest = (request: Request): Opening | Refusal => {
  if (request.method !== "GET") return refusal(405, "bad method")
  if (!isUpgradeRequest(request)) {
    return refusal(400, "not an upgrade to WebSocket: Upgrade: websocket and Connection: Upgrade are missing")
  }
  const key = first(request, "sec-websocket-key") ?? ""
  // 16 bytes in base64, so the 22nd character has four bits to spare.
  if (!/^[A-Za-z0-9+/]{21}[AQgw]==$/.test(key)) {
    return refusal(400, "Sec-WebSocket-Key must be the base64 of 16 bytes")
  }
  const version = first(request, "sec-websocket-version")
  if (version !== "13") {
    return refusal(400, "Sec-WebSocket-Version must be 13", { "sec-websocket-version": "13" })
  }
  return { _tag: "Opening", key, subprotocols: tokens(first(request, "sec-websocket-protocol")) }
}

/**
 * The first of the client's names that the server supports (protocol reference 2.3). A client that offers none gets `""`
 * if that is supported. `undefined`: none, which servers answer with a 403 without a body.
 */
export const chooseSubprotocol = (
  offered: ReadonlyArray<string>,
  supported: ReadonlyArray<string>
): string | undefined => (offered.length === 0 ? [""] : offered).find((name) => supported.includes(name))

/**
 * The headers of the 101, in lower case. The subprotocol `""` gives an empty header, as real servers do; `undefined`
 * gives none.
 */
export const responseHeaders = (accept: string, subprotocol: string | undefined): Readonly<Record<string, string>> => ({
  "upgrade": "websocket",
  "connection": "Upgrade",
  "sec-websocket-accept": accept,
  ...(subprotocol === undefined ? {} : { "sec-websocket-protocol": subprotocol })
})

const first = (request: Request, name: string): string | undefined => request.headers.get(name)?.[0]?.trim()

const tokens = (value: string | undefined): ReadonlyArray<string> =>
  (value ?? "").split(",").map((token) => token.trim()).filter((token) => token !== "")

const isUpgrade = (token: string): boolean => token.toLowerCase() === "upgrade"

const quote = (value: string | undefined): string =>
  value === undefined ? "nothing" : JSON.stringify(value.slice(0, 200))
