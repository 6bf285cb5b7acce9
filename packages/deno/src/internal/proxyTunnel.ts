/**
 * Tunnels through a proxy: CONNECT of HTTP (RFC 9110 9.3.6), and SOCKS5 (RFC 1928) with a password (RFC 1929).
 */
import type { Address, Proxy } from "@effect-k8s/core/Endpoint"
import * as Base64 from "effect/encoding/Base64"
import * as Redacted from "effect/Redacted"
import { AnswerParser } from "./http1.ts"
import { type RawStream, withUnread } from "./rawStream.ts"

/** The proxy said no. */
export class Refusal extends Error {
  override readonly name = "Refusal"
  /** The status of the answer to CONNECT. */
  readonly status: number | undefined

  constructor(message: string, status?: number) {
    super(message)
    this.status = status
  }
}

const encoder = new TextEncoder()

const concat = (...chunks: ReadonlyArray<ReadonlyArray<number> | Uint8Array>): Uint8Array =>
  Uint8Array.from(chunks.flatMap((chunk) => [...chunk]))

const passwordOf = ({ password }: Proxy): string => password === undefined ? "" : Redacted.value(password)

/**
 * Asks the proxy at the other end of `stream` for a tunnel to `address`, as the scheme of its URL says. Fails with
 * `Refusal`, or with what happened to the stream; who calls it destroys the stream.
 */
export const open = (stream: RawStream, proxy: Proxy, address: Address): Promise<RawStream> =>
  proxy.url.protocol === "socks5:" ? bySocks(stream, proxy, address) : byConnect(stream, proxy, address)

const byConnect = async (stream: RawStream, proxy: Proxy, { host, port }: Address): Promise<RawStream> => {
  const target = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
  const lines = [`CONNECT ${target} HTTP/1.1`, `Host: ${target}`]
  if (proxy.username !== undefined) {
    lines.push(`Proxy-Authorization: Basic ${Base64.encode(encoder.encode(`${proxy.username}:${passwordOf(proxy)}`))}`)
  }
  await stream.write(encoder.encode(`${lines.join("\r\n")}\r\n\r\n`))
  const parser = new AnswerParser("CONNECT")
  while (true) {
    const bytes = await stream.read()
    if (bytes === null) throw new Refusal("the connection ended without an answer to CONNECT")
    const [head, end] = parser.push(bytes)
    if (head?._tag !== "Head") continue
    if (head.status < 200 || head.status > 299) throw new Refusal("refused", head.status)
    return end?._tag === "End" ? withUnread(stream, end.rest) : stream
  }
}

const version = 5
const noAuthentication = 0
const userAndPassword = 2

const replies = [
  "",
  "general failure",
  "not allowed by its rules",
  "network unreachable",
  "host unreachable",
  "connection refused",
  "TTL expired",
  "command not supported",
  "address type not supported"
]

/** Reads exactly so many bytes at a time. */
const exactly = (stream: RawStream) => {
  let kept: Uint8Array = new Uint8Array(0)
  return {
    rest: () => kept,
    take: async (length: number): Promise<Uint8Array> => {
      while (kept.length < length) {
        const bytes = await stream.read()
        if (bytes === null) throw new Refusal("the connection ended within the negotiation of SOCKS5")
        kept = concat(kept, bytes)
      }
      const taken = kept.subarray(0, length)
      kept = kept.subarray(length)
      return taken
    }
  }
}

const counted = (text: string, what: string): Uint8Array => {
  const bytes = encoder.encode(text)
  if (bytes.length > 255) throw new Refusal(`SOCKS5 takes no ${what} of more than 255 bytes`)
  return concat([bytes.length], bytes)
}

// The proxy resolves names, which are often known only there.
const socksAddress = ({ host, port }: Address): Uint8Array => {
  const tail = [port >> 8, port & 255]
  if (host.includes(":")) return concat([4], ipv6(host), tail)
  return /^\d+(?:\.\d+){3}$/.test(host)
    ? concat([1], host.split(".").map(Number), tail)
    : concat([3], counted(host, "host name"), tail)
}

// URL has made the groups canonical: hexadecimal, with one `::` at most.
const ipv6 = (host: string): ReadonlyArray<number> => {
  const [left = "", right] = host.split("::")
  const groups = (part: string | undefined) => part === undefined || part === "" ? [] : part.split(":")
  const [head, tail] = [groups(left), groups(right)]
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => "0")
  return [...head, ...zeros, ...tail].map((group) => Number.parseInt(group, 16)).flatMap((n) => [n >> 8, n & 255])
}

const bySocks = async (stream: RawStream, proxy: Proxy, address: Address): Promise<RawStream> => {
  const { rest, take } = exactly(stream)
  const method = proxy.username === undefined ? noAuthentication : userAndPassword
  await stream.write(Uint8Array.of(version, 1, method))
  const [spoken, chosen] = await take(2)
  if (spoken !== version) throw new Refusal("the answer was not SOCKS5")
  if (chosen !== method) {
    throw new Refusal(
      method === noAuthentication
        ? "it wants a user and a password, or another way to say who asks"
        : "it takes no user and password"
    )
  }
  if (method === userAndPassword) {
    await stream.write(
      concat([1], counted(proxy.username ?? "", "user name"), counted(passwordOf(proxy), "password"))
    )
    const [, status] = await take(2)
    if (status !== 0) throw new Refusal("it does not accept the user and password")
  }
  await stream.write(concat([version, 1, 0], socksAddress(address)))
  const [again, reply = 0, , type] = await take(4)
  if (again !== version) throw new Refusal("the answer was not SOCKS5")
  if (reply !== 0) throw new Refusal(`it answered: ${replies[reply] ?? `failure ${reply}`}`)
  // The address it connects from, which nobody needs.
  await take(type === 1 ? 4 + 2 : type === 4 ? 16 + 2 : (await take(1))[0]! + 2)
  return withUnread(stream, rest())
}
