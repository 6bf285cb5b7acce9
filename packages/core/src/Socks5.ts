/**
 * The client's side of SOCKS5 (RFC 1928) with a user and password (RFC 1929), without IO: adapters carry the bytes.
 */
import * as Bytes from "effect/Bytes"
import * as NetAddress from "effect/net/NetAddress"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Address, Proxy } from "./Endpoint.ts"

/**
 * What to do next: `send` first, where it is not empty. Then
 * - `Pending`: read more, and push it.
 * - `Open`: the connection is the tunnel. `rest` is what the server has said already.
 * - `Refused`: there is no tunnel, and `why` says so in words without secrets.
 */
export type Step =
  | { readonly _tag: "Pending"; readonly send: Uint8Array }
  | { readonly _tag: "Open"; readonly send: Uint8Array; readonly rest: Uint8Array }
  | { readonly _tag: "Refused"; readonly send: Uint8Array; readonly why: string }

const version = 5
const passwordVersion = 1
const connect = 1
const methods = { none: 0, password: 2, nothingOffered: 255 } as const
const addressTypes = { ipv4: 1, name: 3, ipv6: 4 } as const

// RFC 1928 6, from 1 on.
const replies = [
  "the proxy failed",
  "its rules do not allow it",
  "the network cannot be reached",
  "the host cannot be reached, or its name is not known there",
  "the connection was refused",
  "the time to live has expired",
  "the proxy does not know the command CONNECT",
  "the proxy does not know this type of address"
]

/** Said when the connection ends before the tunnel is open. */
export const ended = "the connection ended within the negotiation of SOCKS5"

const nothing = new Uint8Array(0)
const encoder = new TextEncoder()

const counted = (text: string, what: string): Result.Result<Uint8Array, string> => {
  const bytes = encoder.encode(text)
  return bytes.length > 255
    ? Result.fail(`SOCKS5 takes no ${what} of more than 255 bytes`)
    : Result.succeed(Bytes.concat([Uint8Array.of(bytes.length), bytes]))
}

const addressOf = (type: keyof typeof addressTypes, bytes: ArrayLike<number>): Uint8Array =>
  Uint8Array.from([addressTypes[type], ...Array.from(bytes)])

// Names go as they are: often the proxy alone knows them.
const hostBytes = (host: string): Result.Result<Uint8Array, string> => {
  const ip = Result.getOrUndefined(NetAddress.ipFromString(host))
  if (ip === undefined) return Result.map(counted(host, "host name"), (name) => addressOf("name", name))
  return Result.succeed(
    NetAddress.isIpv4Address(ip)
      ? addressOf("ipv4", NetAddress.ipv4ToOctets(ip))
      : addressOf("ipv6", NetAddress.ipv6ToOctets(ip))
  )
}

const requestFor = ({ host, port }: Address): Result.Result<Uint8Array, string> =>
  Result.map(
    hostBytes(host),
    (bytes) => Bytes.concat([Uint8Array.of(version, connect, 0), bytes, Uint8Array.of(port >> 8, port & 255)])
  )

const credentialsOf = ({ password, username = "" }: Proxy): Result.Result<Uint8Array, string> =>
  Result.gen(function*() {
    const name = yield* counted(username, "user name")
    // RFC 1929 2: a user name has one byte at least.
    if (name.length === 1) return yield* Result.fail("SOCKS5 takes no password without a user name")
    const secret = yield* counted(password === undefined ? "" : Redacted.value(password), "password")
    return Bytes.concat([Uint8Array.of(passwordVersion), name, secret])
  })

type Phase = "method" | "password" | "reply"

/**
 * One negotiation: `start`, then `push` with what the proxy says, however it is cut, until the step is not `Pending`.
 *
 * With a user both methods are offered, as kubectl does: a proxy that wants no password is not told it.
 *
 * @example
 * ```ts
 * import { Negotiation } from "@effect-k8s/core/Socks5"
 *
 * const negotiation = new Negotiation({ url: new URL("socks5://proxy:1080") }, { host: "10.0.0.1", port: 443 })
 * Array.from(negotiation.start().send) // => [5, 1, 0]
 * Array.from(negotiation.push(Uint8Array.of(5, 0)).send) // => [5, 1, 0, 1, 10, 0, 0, 1, 1, 187]
 * ```
 */
export class Negotiation {
  readonly #proxy: Proxy
  readonly #address: Address
  #phase: Phase = "method"
  #request: Uint8Array = nothing
  #credentials: Uint8Array | undefined
  #kept: Uint8Array = nothing

  constructor(proxy: Proxy, address: Address) {
    this.#proxy = proxy
    this.#address = address
  }

  /** The greeting. Refuses what SOCKS5 has no form for, before anything is sent. */
  start(): Step {
    const request = requestFor(this.#address)
    if (Result.isFailure(request)) return refused(request.failure)
    this.#request = request.success
    if (this.#proxy.username === undefined) return pending(Uint8Array.of(version, 1, methods.none))
    const credentials = credentialsOf(this.#proxy)
    if (Result.isFailure(credentials)) return refused(credentials.failure)
    this.#credentials = credentials.success
    return pending(Uint8Array.of(version, 2, methods.none, methods.password))
  }

  /** What the proxy has said. */
  push(bytes: Uint8Array): Step {
    this.#kept = this.#kept.length === 0 ? bytes : Bytes.concat([this.#kept, bytes])
    let send: Uint8Array = nothing
    while (true) {
      const step = this.#next()
      if (step === undefined) return pending(send)
      send = Bytes.concat([send, step.send])
      if (step._tag !== "Pending") return { ...step, send }
    }
  }

  /** `undefined` until what is next has come whole. */
  #next(): Step | undefined {
    switch (this.#phase) {
      case "method":
        return this.#method()
      case "password":
        return this.#password()
      case "reply":
        return this.#reply()
    }
  }

  #method(): Step | undefined {
    const [spoken, method] = this.#kept
    if (spoken !== undefined && spoken !== version) return refused(otherProtocol(spoken))
    if (method === undefined) return undefined
    this.#kept = this.#kept.subarray(2)
    if (method === methods.none) {
      this.#phase = "reply"
      return pending(this.#request)
    }
    if (method === methods.password && this.#credentials !== undefined) {
      this.#phase = "password"
      return pending(this.#credentials)
    }
    if (method !== methods.nothingOffered) return refused(`it chose the method ${method}, which was not offered`)
    return refused(
      this.#credentials === undefined
        ? "it wants a user and a password, or another way to say who asks"
        : "it wants another way to say who asks than a user and a password"
    )
  }

  #password(): Step | undefined {
    // The version of this answer differs among proxies; Go looks at the status alone, too.
    const status = this.#kept[1]
    if (status === undefined) return undefined
    if (status !== 0) return refused("it does not accept the user and password")
    this.#kept = this.#kept.subarray(2)
    this.#phase = "reply"
    return pending(this.#request)
  }

  #reply(): Step | undefined {
    const [spoken, reply, , type, first] = this.#kept
    if (spoken !== undefined && spoken !== version) return refused(otherProtocol(spoken))
    // A proxy that refuses may leave the rest out.
    if (reply !== undefined && reply !== 0) {
      const { host, port } = this.#address
      const at = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
      return refused(`it did not connect to ${at}: ${replies[reply - 1] ?? `it answered with the code ${reply}`}`)
    }
    if (type === undefined) return undefined
    // The address it connects from, which nobody needs.
    const length = type === addressTypes.ipv4
      ? 4
      : type === addressTypes.ipv6
      ? 16
      : type !== addressTypes.name
      ? undefined
      : first === undefined
      ? Infinity
      : 1 + first
    if (length === undefined) return refused(`it answered with an address of the type ${type}, which SOCKS5 has not`)
    const end = 4 + length + 2
    return this.#kept.length < end ? undefined : { _tag: "Open", send: nothing, rest: this.#kept.subarray(end) }
  }
}

const pending = (send: Uint8Array): Step => ({ _tag: "Pending", send })
const refused = (why: string): Step => ({ _tag: "Refused", send: nothing, why })

const otherProtocol = (first: number): string =>
  first === "H".charCodeAt(0)
    ? "the answer was HTTP, not SOCKS5: its proxy-url begins with http://"
    : "the answer was not SOCKS5"
