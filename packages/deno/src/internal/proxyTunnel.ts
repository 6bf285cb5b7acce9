/**
 * Tunnels through a proxy: CONNECT of HTTP (RFC 9110 9.3.6), and SOCKS5 (RFC 1928).
 */
import type { Address, Proxy } from "@effect-k8s/core/Endpoint"
import * as Socks5 from "@effect-k8s/core/Socks5"
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

/**
 * Asks the proxy at the other end of `stream` for a tunnel to `address`, as the scheme of its URL says. Fails with
 * `Refusal`, or with what happened to the stream; who calls it destroys the stream.
 */
export const open = (stream: RawStream, proxy: Proxy, address: Address): Promise<RawStream> =>
  proxy.url.protocol === "socks5:" ? bySocks(stream, proxy, address) : byConnect(stream, proxy, address)

const byConnect = async (
  stream: RawStream,
  { password, username }: Proxy,
  { host, port }: Address
): Promise<RawStream> => {
  const target = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
  const lines = [`CONNECT ${target} HTTP/1.1`, `Host: ${target}`]
  if (username !== undefined) {
    const credentials = `${username}:${password === undefined ? "" : Redacted.value(password)}`
    lines.push(`Proxy-Authorization: Basic ${Base64.encode(encoder.encode(credentials))}`)
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

const bySocks = async (stream: RawStream, proxy: Proxy, address: Address): Promise<RawStream> => {
  const negotiation = new Socks5.Negotiation(proxy, address)
  let step = negotiation.start()
  while (true) {
    if (step.send.length > 0) await stream.write(step.send)
    if (step._tag === "Refused") throw new Refusal(step.why)
    if (step._tag === "Open") return withUnread(stream, step.rest)
    const bytes = await stream.read()
    if (bytes === null) throw new Refusal(Socks5.ended)
    step = negotiation.push(bytes)
  }
}
